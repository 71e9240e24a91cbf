"""Webhook endpoints and deliveries in the database; implements core.ports.WebhookStore.

Rule: an event is noted by `tell`, in the transaction of what it tells of; from then on it is in the log.
"""

from haiga.stores.webhooks.outbox import tell
from haiga.stores.webhooks.store import DatabaseWebhooks

__all__ = ["DatabaseWebhooks", "tell"]
