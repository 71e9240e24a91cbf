"""One database: how it is opened, how its schema is brought up to date.

Rule: a database is migrated when it is opened, so that no command meets an old schema.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.errors import Busy, Failed
from haiga.stores.locks import MIGRATION, lock
from haiga.stores.sqlite import PATIENCE, open_sqlite
from haiga.stores.trouble import explain

REVISION = "0021"  # the newest migration


@asynccontextmanager
async def connect(where: Path | str, patience: float = PATIENCE) -> AsyncIterator[AsyncEngine]:
    """The SQLite database in a file (made when there is none), or the PostgreSQL database at a URL, migrated; closed
    when the block ends. `patience`: seconds that a writer of SQLite waits for another program.

    Raises Failed, naming the database, when it cannot be opened, read or written.
    """
    try:
        async with _opened(where, patience) as engine:
            yield engine
    except (DBAPIError, OSError) as problem:
        raise Failed(f"database {_named(where)}: {getattr(problem, 'orig', problem)}") from problem


@asynccontextmanager
async def _opened(where: Path | str, patience: float) -> AsyncIterator[AsyncEngine]:
    async with _engine(where, patience) as engine:
        try:
            await _migrate(engine)
        except Busy as problem:
            raise Failed(f"database {_named(where)}: {problem.__cause__}") from problem
        event.listen(engine.sync_engine, "handle_error", explain, retval=True)
        # SQLite: while any connection is open, closing another one does not write the whole log back, which takes a
        # disk sync; it must be opened when there is something in the file
        async with engine.connect() if isinstance(where, Path) else nullcontext():
            yield engine


def _engine(where: Path | str, patience: float) -> AbstractAsyncContextManager[AsyncEngine]:
    if isinstance(where, Path):
        return open_sqlite(where, patience)
    from haiga.stores.postgres import open_postgres

    return open_postgres(where)


def _named(where: Path | str) -> str:
    """As errors name it: without user and password."""
    if isinstance(where, Path):
        return str(where)
    parts = urlsplit(where)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _migrate(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        revision = await connection.run_sync(_revision)
    # alembic takes a third of a second to import: only a database that is behind pays for it
    if revision == REVISION:
        return
    from haiga.stores.migrations import upgrade

    async with engine.begin() as connection:
        # of two first starts at once, the second waits here and then finds the work done
        await lock(connection, MIGRATION)
        await connection.run_sync(upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
