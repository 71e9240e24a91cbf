"""The audit log: what was done to the server, written down, read and verified."""

from haiga.services.audit.log import Audit, Verdict
from haiga.services.audit.refusals import Refusals

__all__ = ["Audit", "Refusals", "Verdict"]
