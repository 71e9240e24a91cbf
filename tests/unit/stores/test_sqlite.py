"""SQLite under load: those who write queue, those who read wait for nobody."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.errors import Busy
from haiga.stores.connect import connect

PATIENCE = 0.05  # seconds for another program
SLOW = 0.01  # seconds that a disk takes for a transaction


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with connect(tmp_path / "haiga.db", PATIENCE) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE counter (count INTEGER)"))
            await connection.execute(text("INSERT INTO counter VALUES (0)"))
        yield engine


async def add(engine: AsyncEngine) -> None:
    """Read, and write what follows from it, on a slow disk."""
    async with engine.begin() as connection:
        before = await count(connection)
        await connection.execute(text("UPDATE counter SET count = :count"), {"count": before + 1})
        await asyncio.sleep(SLOW)


async def count(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT count FROM counter"))).scalar_one())


async def test_forty_writers_at_once_on_a_slow_disk_all_write_and_none_is_told_that_the_database_is_busy(
    engine: AsyncEngine,
) -> None:
    await asyncio.gather(*(add(engine) for _ in range(40)))
    async with engine.connect() as connection:
        assert 40 == await count(connection)


async def test_writers_do_not_wait_for_a_long_reader_who_goes_on_seeing_what_was_there(engine: AsyncEngine) -> None:
    async with engine.connect() as reader:
        await reader.exec_driver_sql("BEGIN")
        assert 0 == await count(reader)
        await asyncio.gather(*(add(engine) for _ in range(10)))
        assert 0 == await count(reader)
    async with engine.connect() as connection:
        assert 10 == await count(connection)


async def test_a_writer_who_goes_away_leaves_nothing_and_lets_the_next_write(engine: AsyncEngine) -> None:
    writers = [asyncio.create_task(add(engine)) for _ in range(10)]
    await asyncio.sleep(SLOW)
    for writer in writers[:9]:
        writer.cancel()
    ended = await asyncio.gather(*writers, return_exceptions=True)
    async with engine.connect() as connection:
        assert sum(end is None for end in ended) == await count(connection)
    assert ended[-1] is None


async def test_another_program_that_keeps_the_database_to_itself_is_told_as_busy(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "haiga.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="in use by another program"):
            await add(engine)
        other.execute("ROLLBACK")
    await add(engine)
    async with engine.connect() as connection:
        assert 1 == await count(connection)
