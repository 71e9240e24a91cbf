"""A PostgreSQL database at a URL, for several servers and workers on any number of machines.

Rule: a connection that was lost is noticed and replaced when it is next taken from the pool; what was under way on it
fails with Busy, and is the asker's to repeat.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from haiga.core.errors import Busy, Failed
from haiga.stores.trouble import SOON

POOL, OVERFLOW = 8, 8  # connections that are kept, and those opened besides when all are in use
DIAL = 10.0  # seconds until a connection must be made
ANSWER = 60.0  # seconds until a statement must be answered
SETTINGS = {"application_name": "haiga", "jit": "off"}  # jit: our statements are short, compiling them is not


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[AsyncEngine]:
    """The database at `url`, which is written as for libpq: postgresql://user@host:port/name?sslmode=require, or
    ?host=/directory for a socket. Raises Failed when it cannot be reached."""

    async def dial() -> Any:
        try:
            return await asyncpg.connect(url, timeout=DIAL, command_timeout=ANSWER, server_settings=SETTINGS)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            raise Busy("the server's database is away", retry_after=SOON) from problem

    try:
        import asyncpg
    except ImportError:
        raise Failed("a PostgreSQL database needs one more package: pip install 'haiga[postgres]'") from None
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=dial, pool_size=POOL, max_overflow=OVERFLOW, pool_pre_ping=True
    )
    try:
        yield engine
    finally:
        await engine.dispose()
