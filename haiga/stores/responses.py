"""Answers, conversations and their items in the database; implements core.ports.ResponseStore.

Rule: content is read by workspace only, and an item lives as long as its owner.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    CTE,
    ColumnElement,
    RowMapping,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.responses import LIVE, History, Item, KeptConversation, KeptResponse
from haiga.core.webhooks import WebhookEvent
from haiga.stores.locks import RESPONSES as LOCK
from haiga.stores.locks import lock
from haiga.stores.tables import CONVERSATIONS, ITEMS, RESPONSES
from haiga.stores.webhooks import tell

END = b"\n\n"  # of a frame
AT_ONCE = 1000  # ids in one query: databases bound the parameters of a statement


class DatabaseResponses:
    """Rows in the tables responses, conversations and items."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # --- responses ---

    async def put(self, response: KeptResponse, input: Sequence[Item], event: WebhookEvent | None = None) -> None:
        """Keep a response with its input items, and its `event` for webhooks, in one transaction; the responses it
        continues live on with it."""
        coded = {"body": _json(response.body), "frames": _packed(response.frames)}
        async with self._engine.begin() as connection:
            await lock(connection, LOCK, response.id)
            await _forget(connection, RESPONSES.c.id == response.id)
            await connection.execute(insert(RESPONSES).values(_row(RESPONSES, response, coded)))
            await _add(connection, response.id, 0, input, False)
            await _add(connection, response.id, len(input), response.body.get("output", ()), True)
            if response.previous is not None:
                chain = _chain(response.workspace, response.previous, response.created_at)
                older = RESPONSES.c.id.in_(select(chain.c.id)) & (RESPONSES.c.expires_at < response.expires_at)
                await connection.execute(update(RESPONSES).where(older).values(expires_at=response.expires_at))
            if event is not None:
                await tell(connection, event)

    async def get(self, workspace: str, id: str, now: int) -> KeptResponse | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_one_response(workspace, id, now))).mappings().one_or_none()
        return None if row is None else _response(row)

    async def unfinished(self, now: int) -> list[KeptResponse]:
        lost = RESPONSES.c.lease.is_(None) | (RESPONSES.c.lease <= now)
        query = select(RESPONSES).where(RESPONSES.c.status.in_(LIVE), RESPONSES.c.background, lost)
        async with self._engine.connect() as connection:
            return [_response(row) for row in (await connection.execute(query)).mappings()]

    async def vouch(self, ids: Collection[str], until: int) -> None:
        held = update(RESPONSES).where(RESPONSES.c.id.in_(ids), RESPONSES.c.status.in_(LIVE))
        async with self._engine.begin() as connection:
            await connection.execute(held.values(lease=until))

    async def delete(self, workspace: str, id: str) -> bool:
        async with self._engine.begin() as connection:
            return await _forget(connection, (RESPONSES.c.id == id) & (RESPONSES.c.workspace == workspace))

    async def history(self, workspace: str, id: str, now: int) -> History:
        """What was said up to and with a response, read in one go whatever the length of the chain."""
        chain = _chain(workspace, id, now)
        links = select(chain.c.previous, chain.c.conversation).order_by(chain.c.depth.desc())
        said = (
            select(ITEMS.c.body)
            .join(chain, ITEMS.c.owner == chain.c.id)
            .order_by(chain.c.depth.desc(), ITEMS.c.position)
        )
        async with self._engine.connect() as connection:
            oldest = (await connection.execute(links)).first()
            bodies = (await connection.execute(said)).scalars().all()
        items = [orjson.loads(body) for body in bodies]
        return History(items, id) if oldest is None else History(items, oldest.previous, oldest.conversation)

    async def input(self, id: str) -> list[Item]:
        return await self._bodies(select(ITEMS.c.body).where(ITEMS.c.owner == id, ITEMS.c.output.is_(False)))

    async def find(self, workspace: str, ids: Sequence[str], now: int) -> dict[str, Item]:
        """Items by their ids. Where several have one id, what a model said comes before what a caller sent."""
        alive = or_(
            *(
                exists().where(table.c.id == ITEMS.c.owner, table.c.workspace == workspace, table.c.expires_at > now)
                for table in (RESPONSES, CONVERSATIONS)
            )
        )
        query = select(ITEMS.c.id, ITEMS.c.body).where(alive).order_by(ITEMS.c.output)
        found: dict[str, Item] = {}
        async with self._engine.connect() as connection:
            for start in range(0, len(ids), AT_ONCE):
                rows = await connection.execute(query.where(ITEMS.c.id.in_(ids[start : start + AT_ONCE])))
                found.update({row.id: orjson.loads(row.body) for row in rows})
        return found

    # --- conversations ---

    async def put_conversation(self, conversation: KeptConversation) -> None:
        row = _row(CONVERSATIONS, conversation, {"metadata": _json(conversation.metadata)})
        async with self._engine.begin() as connection:
            await connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.id == conversation.id))
            await connection.execute(insert(CONVERSATIONS).values(row))

    async def conversation(self, workspace: str, id: str, now: int) -> KeptConversation | None:
        owned = (CONVERSATIONS.c.id == id) & (CONVERSATIONS.c.workspace == workspace)
        query = select(CONVERSATIONS).where(owned, CONVERSATIONS.c.expires_at > now)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else KeptConversation(**{**row, "metadata": orjson.loads(row["metadata"])})

    async def delete_conversation(self, workspace: str, id: str) -> bool:
        owned = (CONVERSATIONS.c.id == id) & (CONVERSATIONS.c.workspace == workspace)
        async with self._engine.begin() as connection:
            return await _forget(connection, owned, conversations=True)

    async def items(self, conversation: str) -> list[Item]:
        return await self._bodies(select(ITEMS.c.body).where(ITEMS.c.owner == conversation))

    async def append(self, conversation: KeptConversation, items: Sequence[Item]) -> None:
        """Add items at the end; nothing when the conversation has been deleted meanwhile."""
        kept = update(CONVERSATIONS).where(CONVERSATIONS.c.id == conversation.id)
        last = select(func.max(ITEMS.c.position)).where(ITEMS.c.owner == conversation.id)
        async with self._engine.begin() as connection:
            if (await connection.execute(kept.values(expires_at=conversation.expires_at))).rowcount == 0:
                return
            end = (await connection.execute(last)).scalar()
            await _add(connection, conversation.id, 0 if end is None else end + 1, items, False)

    async def remove(self, conversation: str, item: str) -> bool:
        gone = delete(ITEMS).where(ITEMS.c.owner == conversation, ITEMS.c.id == item)
        async with self._engine.begin() as connection:
            return (await connection.execute(gone)).rowcount > 0

    # --- all ---

    async def expire(self, now: int) -> None:
        async with self._engine.begin() as connection:
            await _forget(connection, RESPONSES.c.expires_at <= now)
            await _forget(connection, CONVERSATIONS.c.expires_at <= now, conversations=True)

    async def _bodies(self, query: Select[Any]) -> list[Item]:
        async with self._engine.connect() as connection:
            bodies = (await connection.execute(query.order_by(ITEMS.c.position))).scalars().all()
        return [orjson.loads(body) for body in bodies]


def _one_response(workspace: str, id: str, now: int) -> Select[Any]:
    owned = (RESPONSES.c.id == id) & (RESPONSES.c.workspace == workspace)
    return select(RESPONSES).where(owned, RESPONSES.c.expires_at > now)


def _chain(workspace: str, id: str, now: int) -> CTE:
    """A response and, link by link, those that it continues; depth 0 is the response itself."""
    live = (RESPONSES.c.workspace == workspace) & (RESPONSES.c.expires_at > now)
    link = (RESPONSES.c.id, RESPONSES.c.previous, RESPONSES.c.conversation)
    chain = select(*link, literal(0).label("depth")).where(RESPONSES.c.id == id, live).cte("chain", recursive=True)
    before = select(*link, chain.c.depth + 1).join(chain, RESPONSES.c.id == chain.c.previous)
    return chain.union_all(before.where(live))


async def _forget(connection: AsyncConnection, which: ColumnElement[bool], conversations: bool = False) -> bool:
    """Delete owners and what they own."""
    table = CONVERSATIONS if conversations else RESPONSES
    await connection.execute(delete(ITEMS).where(ITEMS.c.owner.in_(select(table.c.id).where(which))))
    return (await connection.execute(delete(table).where(which))).rowcount > 0


async def _add(connection: AsyncConnection, owner: str, start: int, items: Sequence[Item], output: bool) -> None:
    rows = [
        {"owner": owner, "position": start + i, "id": item["id"], "output": output, "body": _json(item)}
        for i, item in enumerate(items)
    ]
    if rows:
        await connection.execute(insert(ITEMS), rows)


def _row(table: Table, value: object, coded: Mapping[str, Any]) -> dict[str, Any]:
    """The value's fields by column, some of them coded for the database."""
    return {column.name: getattr(value, column.name) for column in table.c if column.name not in coded} | {**coded}


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _packed(frames: tuple[bytes, ...] | None) -> bytes | None:
    return None if frames is None else zlib.compress(b"".join(frames), 1)


def _response(row: RowMapping) -> KeptResponse:
    packed = row["frames"]
    frames = None if packed is None else tuple(part + END for part in zlib.decompress(packed).split(END)[:-1])
    return KeptResponse(**{**row, "body": orjson.loads(row["body"]), "frames": frames})
