"""What other stores write: that something happened."""

from sqlalchemy import exists, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from haiga.core.webhooks import WebhookEvent
from haiga.stores.tables import DELIVERIES, WEBHOOKS


async def tell(connection: AsyncConnection, event: WebhookEvent) -> None:
    """Note an event for each endpoint that wants it, in the caller's transaction; a second time changes nothing."""
    W, D = WEBHOOKS.c, DELIVERIES.c
    told = {
        "event": event.id,
        "type": event.type,
        "subject": event.subject,
        "workspace": event.workspace,
        "at": event.at,
        "state": "pending",
        "attempts": 0,
        "next_at": event.at,
    }
    noted = exists().where(D.endpoint == W.id, D.event == event.id)
    wanted = W.types.contains(f" {event.type} ", autoescape=True) & (W.workspace == event.workspace)
    each = select(W.id, *map(literal, told.values())).where(wanted, W.disabled.is_(None), ~noted)
    await connection.execute(insert(DELIVERIES).from_select(["endpoint", *told], each))
