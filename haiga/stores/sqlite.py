"""A SQLite database in a file: no set-up, one machine.

Rule: SQLite has one writer at a time, and whoever finds another there asks again and again, without an order. So those
of one process queue here, and only other programs are waited for there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from haiga.core.errors import Busy
from haiga.stores.trouble import SOON

POOL = 4  # connections that are kept, each a thread of its own; as many more are opened as are in use at once
PATIENCE = 60.0  # seconds that a writer waits for another program
QUEUE = 120.0  # seconds that a writer waits for those before it


@asynccontextmanager
async def open_sqlite(file: Path, patience: float = PATIENCE) -> AsyncIterator[AsyncEngine]:
    """The database in `file`, made when there is none."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        pool_size=POOL,
        max_overflow=-1,
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _record: _set_up(connection, patience))
    try:
        _make(file)
        yield OneWriter(engine)
    finally:
        await engine.dispose()


class OneWriter(AsyncEngine):
    """Its transactions come one after the other, in the order in which they were asked for; what only reads
    (`connect`) waits for nobody. Raises Busy when those before take too long."""

    __slots__ = ("_turn",)

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine.sync_engine)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection, None]:
        async with self._alone(), super().begin() as connection:
            # at once, not with its first write: what it reads before stays true
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None, None]:
        try:
            async with asyncio.timeout(QUEUE):
                await self._turn.acquire()
        except TimeoutError:
            raise Busy("the server's disk is too slow: nothing more can be kept now", retry_after=SOON) from None
        try:
            yield
        finally:
            self._turn.release()


def _make(file: Path) -> None:
    """For its owner alone: conversations are kept in it. SQLite's own files beside it take over its mode."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


def _set_up(connection: Any, patience: float) -> None:
    """WAL: readers never wait for a writer. What is deleted is overwritten, so that it is not in the file any more."""
    cursor = connection.cursor()
    wait = f"busy_timeout={round(patience * 1000)}"
    for pragma in (wait, "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
