"""Webhooks: whoever wants to know is told, signed in the Standard Webhooks form, until they have heard it."""

from haiga.services.webhooks.deliverer import Deliverer
from haiga.services.webhooks.sender import Sender
from haiga.services.webhooks.service import Webhooks

__all__ = ["Deliverer", "Sender", "Webhooks"]
