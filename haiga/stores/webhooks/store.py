"""The methods of endpoints' owners, and of whoever sends. See the package for the rule."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, delete, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.webhooks import Delivery, WebhookEndpoint, WebhookEvent
from haiga.stores.tables import DELIVERIES, WEBHOOKS

W, D = WEBHOOKS.c, DELIVERIES.c
EVENT = ("type", "subject", "workspace", "at")
SPARE = 8  # times as many rows looked at as are taken: those of one slow endpoint must not hide the others'


class DatabaseWebhooks:
    """Rows in the tables webhooks and webhook_deliveries."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # --- the owner ---

    async def add(self, endpoint: WebhookEndpoint, limit: int) -> bool:
        number = select(func.count()).select_from(WEBHOOKS).where(W.workspace == endpoint.workspace)
        async with self._engine.begin() as connection:
            await connection.execute(insert(WEBHOOKS).values(_row(endpoint)))
            if (await connection.execute(number)).scalar_one() > limit:
                await connection.execute(delete(WEBHOOKS).where(W.id == endpoint.id))
                return False
        return True

    async def get(self, workspace: str, id: str) -> WebhookEndpoint | None:
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(WEBHOOKS).where(_owned(workspace, id)))
            row = rows.mappings().one_or_none()
        return None if row is None else _endpoint(row)

    async def page(self, workspace: str, limit: int, after: str | None) -> list[WebhookEndpoint]:
        query = select(WEBHOOKS).where(W.workspace == workspace).order_by(W.created_at.desc(), W.id.desc())
        if after is not None:
            made = select(W.created_at).where(_owned(workspace, after)).scalar_subquery()
            query = query.where(tuple_(W.created_at, W.id) < tuple_(made, literal(after)))
        async with self._engine.connect() as connection:
            return [_endpoint(row) for row in (await connection.execute(query.limit(limit))).mappings()]

    async def replace(self, endpoint: WebhookEndpoint) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(update(WEBHOOKS).where(W.id == endpoint.id).values(_row(endpoint)))
            await _give_up(connection, endpoint)

    async def remove(self, workspace: str, id: str) -> bool:
        async with self._engine.begin() as connection:
            gone = (await connection.execute(delete(WEBHOOKS).where(_owned(workspace, id)))).rowcount > 0
            if gone:
                await connection.execute(delete(DELIVERIES).where(D.endpoint == id))
        return gone

    async def log(self, endpoint: str, limit: int, after: str | None) -> list[Delivery]:
        query = select(DELIVERIES).where(D.endpoint == endpoint).order_by(D.at.desc(), D.event.desc())
        if after is not None:
            at = select(D.at).where(D.endpoint == endpoint, D.event == after).scalar_subquery()
            query = query.where(tuple_(D.at, D.event) < tuple_(at, literal(after)))
        async with self._engine.connect() as connection:
            return [_delivery(row) for row in (await connection.execute(query.limit(limit))).mappings()]

    async def delivery(self, endpoint: str, event: str) -> Delivery | None:
        query = select(DELIVERIES).where(D.endpoint == endpoint, D.event == event)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _delivery(row)

    async def send_again(self, endpoint: str, event: str, now: int) -> None:
        again = update(DELIVERIES).where(D.endpoint == endpoint, D.event == event)
        async with self._engine.begin() as connection:
            await connection.execute(again.values(state="pending", attempts=0, next_at=now))

    # --- who sends ---

    async def claim(
        self, now: int, until: int, limit: int, each: int, busy: Mapping[str, int]
    ) -> list[tuple[Delivery, WebhookEndpoint]]:
        of = Counter(busy)
        free = D.endpoint.not_in([endpoint for endpoint, number in of.items() if number >= each])
        async with self._engine.begin() as connection:
            due = select(D.endpoint, D.event).where(D.state == "pending", D.next_at <= now, free).order_by(D.next_at)
            rows = await connection.execute(due.limit(limit * SPARE).with_for_update(skip_locked=True))
            taken: list[tuple[str, str]] = []
            for endpoint, event in rows:
                if of[endpoint] < each and len(taken) < limit:
                    of[endpoint] += 1
                    taken.append((endpoint, event))
            return await _take(connection, taken, now, until) if taken else []

    async def record(self, delivery: Delivery, endpoint: WebhookEndpoint) -> None:
        """Nothing is kept of a try that was overtaken: redelivered by hand, or taken by another sender."""
        fields = ("state", "next_at", "last_at", "status", "error")
        mine = (D.endpoint == delivery.endpoint) & (D.event == delivery.event.id) & (D.attempts == delivery.attempts)
        tried = update(DELIVERIES).where(mine, D.state == "pending")
        judged: dict[str, Any] = {"failing_since": endpoint.failing_since}
        if endpoint.disabled is not None:
            judged |= {"disabled": endpoint.disabled}
        async with self._engine.begin() as connection:
            await connection.execute(tried.values({name: getattr(delivery, name) for name in fields}))
            await connection.execute(update(WEBHOOKS).where(W.id == endpoint.id).values(judged))
            await _give_up(connection, endpoint)

    async def forget(self, before: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(DELIVERIES).where(D.at < before, D.state != "pending"))


async def _take(
    connection: AsyncConnection, keys: list[tuple[str, str]], now: int, until: int
) -> list[tuple[Delivery, WebhookEndpoint]]:
    """Those of the deliveries that nobody else took meanwhile."""
    these = tuple_(D.endpoint, D.event).in_(keys)
    mine = update(DELIVERIES).where(these, D.state == "pending", D.next_at <= now)
    counted = mine.values(attempts=D.attempts + 1, next_at=until).returning(DELIVERIES)
    deliveries = [_delivery(row) for row in (await connection.execute(counted)).mappings()]
    known = select(WEBHOOKS).where(W.id.in_({delivery.endpoint for delivery in deliveries}))
    endpoints = {row["id"]: _endpoint(row) for row in (await connection.execute(known)).mappings()}
    return [(delivery, endpoints[delivery.endpoint]) for delivery in deliveries if delivery.endpoint in endpoints]


async def _give_up(connection: AsyncConnection, endpoint: WebhookEndpoint) -> None:
    """What waits to be sent to an endpoint that is disabled is not sent."""
    if endpoint.disabled is not None:
        waiting = update(DELIVERIES).where(D.endpoint == endpoint.id, D.state == "pending")
        await connection.execute(waiting.values(state="failed", next_at=None, error="The endpoint was disabled."))


def _owned(workspace: str, id: str) -> ColumnElement[bool]:
    return (W.id == id) & (W.workspace == workspace)


def _row(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return asdict(endpoint) | {"types": f" {' '.join(endpoint.types)} "}


def _endpoint(row: RowMapping) -> WebhookEndpoint:
    return WebhookEndpoint(**{**row, "types": tuple(row["types"].split())})


def _delivery(row: RowMapping) -> Delivery:
    event = WebhookEvent(**{name: row[name] for name in EVENT})
    rest = {name: value for name, value in row.items() if name not in (*EVENT, "event")}
    return Delivery(event=event, **rest)
