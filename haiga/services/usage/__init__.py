"""What requests use and cost: recorded beside them, never in their way."""

from haiga.services.usage.ledger import Ledger
from haiga.services.usage.recorder import Recorder

__all__ = ["Ledger", "Recorder"]
