"""One database: how it is opened, how its schema is brought up to date.

Rule: a database is migrated when it is opened, so that no command meets an old schema.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from haiga.core.errors import Failed
from haiga.stores.trouble import explain

REVISION = "0007"  # the newest migration


@asynccontextmanager
async def connect(file: Path) -> AsyncIterator[AsyncEngine]:
    """The SQLite database in `file` (made when there is none), migrated; closed when the block ends.

    Raises Failed, naming the file, when the database cannot be opened, read or written.
    """
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        # a connection per use: SQLite opens in microseconds, and none outlives the event loop that made it
        poolclass=NullPool,
    )
    event.listen(engine.sync_engine, "connect", _set_up)
    try:
        _make(file)
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
        event.listen(engine.sync_engine, "handle_error", explain, retval=True)
        # while any connection is open, closing another one does not write the whole log back, which takes a disk sync
        async with engine.connect():
            yield engine
    except (DBAPIError, OSError) as problem:
        raise Failed(f"database {file}: {getattr(problem, 'orig', problem)}") from problem
    finally:
        await engine.dispose()


def _make(file: Path) -> None:
    """For its owner alone: conversations are kept in it. SQLite's own files beside it take over its mode."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


def _set_up(connection: Any, _record: object) -> None:
    """WAL: readers never wait for a writer. Five seconds is what a writer waits for another."""
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    # alembic takes a third of a second to import: only a database that is behind pays for it
    if _revision(connection) == REVISION:
        return
    from haiga.stores.migrations import upgrade

    # of two first starts at once, the second waits here and then finds the work done
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    upgrade(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
