"""The result cache: what was asked before is answered from a store. When two requests are the same is said in
services/batches/sameness.py, and in words in docs/batches.md."""

from haiga.services.results.cache import ResultCache

__all__ = ["ResultCache"]
