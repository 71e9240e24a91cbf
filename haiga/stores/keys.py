"""API keys in the database; implements core.ports.KeyStore."""

from dataclasses import asdict

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.access import ApiKey
from haiga.stores.tables import API_KEYS


class DatabaseKeys:
    """Keys in the table api_keys."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, key: ApiKey) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(insert(API_KEYS).values(asdict(key)))

    async def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
        async with self._engine.connect() as connection:
            return [ApiKey(**row) for row in (await connection.execute(query)).mappings()]

    async def revoke(self, key_id: str, at: int) -> bool:
        """Mark a key revoked; False when there is no such key that is not revoked yet."""
        change = update(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.revoked_at.is_(None)).values(revoked_at=at)
        async with self._engine.begin() as connection:
            return (await connection.execute(change)).rowcount == 1
