"""Kept answers in the database; implements core.ports.ResultStore."""

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.stores.tables import RESULTS

R = RESULTS.c
FRESH = 3600  # seconds that a use counts for: not every answer that is given again is worth a write


class DatabaseResults:
    """Rows in the table results."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, workspace: str, digest: str, since: int, now: int) -> bytes | None:
        mine = (R.digest == digest) & (R.workspace == workspace)
        async with self._engine.connect() as connection:
            query = select(R.body, R.used_at).where(mine, R.created_at >= since)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        if row.used_at <= now - FRESH:
            async with self._engine.begin() as connection:
                await connection.execute(update(RESULTS).where(mine).values(used_at=now))
        return bytes(row.body)

    async def keep(self, workspace: str, digest: str, body: bytes, now: int) -> None:
        row = {"digest": digest, "workspace": workspace, "created_at": now, "used_at": now, "size": len(body)}
        async with self._engine.begin() as connection:
            await connection.execute(delete(RESULTS).where(R.digest == digest))
            await connection.execute(insert(RESULTS).values(row | {"body": body}))

    async def trim(self, limit: int, since: int) -> None:
        newer = func.sum(R.size).over(order_by=(R.used_at.desc(), R.digest))
        ranked = select(R.digest, newer.label("newer")).subquery()
        async with self._engine.begin() as connection:
            await connection.execute(delete(RESULTS).where(R.created_at < since))
            over = select(ranked.c.digest).where(ranked.c.newer > limit)
            await connection.execute(delete(RESULTS).where(R.digest.in_(over)))
