"""KV blocks in files, where they outlast their place in the pool, the process and the machine's power."""

from haiga.engines.native.tier.shelf import Shelf, erase, forget_model
from haiga.engines.native.tier.tier import Tier

__all__ = ["Shelf", "Tier", "erase", "forget_model"]
