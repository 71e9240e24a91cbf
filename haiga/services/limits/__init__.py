"""Who may use how much: every request held to the limits of its key and its workspace."""

from haiga.services.limits.limiter import Hold, Limiter
from haiga.services.limits.meters import LocalMeters

__all__ = ["Hold", "Limiter", "LocalMeters"]
