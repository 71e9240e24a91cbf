"""A SQLite database in a file: no set-up, one machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool


@asynccontextmanager
async def open_sqlite(file: Path) -> AsyncIterator[AsyncEngine]:
    """The database in `file`, made when there is none."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        # a connection per use: SQLite opens in microseconds, and none outlives the event loop that made it
        poolclass=NullPool,
    )
    event.listen(engine.sync_engine, "connect", _set_up)
    try:
        _make(file)
        yield engine
    finally:
        await engine.dispose()


def _make(file: Path) -> None:
    """For its owner alone: conversations are kept in it. SQLite's own files beside it take over its mode."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


def _set_up(connection: Any, _record: object) -> None:
    """WAL: readers never wait for a writer. Five seconds is what a writer waits for another. What is deleted is
    overwritten, so that it is not in the file any more."""
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
