"""Models that other servers run: their APIs as Engines.

Rule: what an operator says of an upstream is trusted, what it answers is not.
"""

from haiga.engines.upstream.upstreams import Upstreams

__all__ = ["Upstreams"]
