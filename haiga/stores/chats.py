"""Kept chat completions in the database; implements core.ports.ChatStore.

Rule: what has expired, or belongs to another workspace, is not there.
"""

from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import RowMapping, delete, insert, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.chats import ChatFilter, KeptChat
from haiga.stores.tables import CHATS

CODED = ("metadata", "body", "messages")  # kept as JSON


class DatabaseChats:
    """Rows in the table chats."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, chat: KeptChat) -> None:
        """Keep it, one of the same id is replaced; what has expired by the time it was made is forgotten."""
        row = {name: orjson.dumps(value).decode() if name in CODED else value for name, value in asdict(chat).items()}
        gone = (CHATS.c.id == chat.id) | (CHATS.c.expires_at <= chat.created_at)
        async with self._engine.begin() as connection:
            await connection.execute(delete(CHATS).where(gone))
            await connection.execute(insert(CHATS).values(row))

    async def get(self, workspace: str, id: str, now: int) -> KeptChat | None:
        query = select(CHATS).where(CHATS.c.id == id, CHATS.c.workspace == workspace, CHATS.c.expires_at > now)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _chat(row)

    async def delete(self, workspace: str, id: str) -> bool:
        gone = delete(CHATS).where(CHATS.c.id == id, CHATS.c.workspace == workspace)
        async with self._engine.begin() as connection:
            return (await connection.execute(gone)).rowcount > 0

    async def list(self, workspace: str, wanted: ChatFilter, now: int) -> list[KeptChat]:
        place = tuple_(CHATS.c.created_at, CHATS.c.id)
        columns = (CHATS.c.created_at, CHATS.c.id)
        order = [column.desc() if wanted.newest_first else column.asc() for column in columns]
        query = select(CHATS).where(CHATS.c.workspace == workspace, CHATS.c.expires_at > now).order_by(*order)
        if wanted.model is not None:
            query = query.where(CHATS.c.model == wanted.model)
        if wanted.after is not None:
            made = select(CHATS.c.created_at).where(CHATS.c.id == wanted.after).scalar_subquery()
            start = tuple_(made, literal(wanted.after))
            query = query.where(place < start if wanted.newest_first else place > start)
        found: list[KeptChat] = []
        async with self._engine.connect() as connection:
            rows = await connection.stream(query)
            async for row in rows.mappings():
                chat = _chat(row)
                if (wanted.metadata or {}).items() <= chat.metadata.items():
                    found.append(chat)
                if len(found) == wanted.limit:
                    break
        return found


def _chat(row: RowMapping) -> KeptChat:
    fields: dict[str, Any] = {name: orjson.loads(value) if name in CODED else value for name, value in row.items()}
    return KeptChat(**fields)
