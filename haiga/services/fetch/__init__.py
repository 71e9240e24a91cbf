"""The one guarded way out: every URL that somebody else chose is opened here, and nowhere else."""

from haiga.services.fetch.addresses import Hosts, Resolve, is_public
from haiga.services.fetch.fetch import Bounds, Fetch, Fetched, Opened

__all__ = ["Bounds", "Fetch", "Fetched", "Hosts", "Opened", "Resolve", "is_public"]
