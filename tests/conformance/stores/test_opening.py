"""A database is opened, brought up to date, or its trouble named; and it may go away and come back."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text

from haiga.core.errors import Busy, Failed, Invalid
from haiga.core.library import AddedModel
from haiga.stores.connect import REVISION, connect
from haiga.stores.models import DatabaseModels
from haiga.stores.responses import DatabaseResponses
from haiga.stores.secret import kept_secret, share_secret
from haiga.stores.tables import METADATA, SECRETS
from tests.postgres import Cluster

Places = Callable[[], Path | str]
MODEL = AddedModel("m", "/m", "/m", None, 1)
COLUMNS = """SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"


async def test_what_was_kept_is_there_after_the_next_opening(new_place: Places) -> None:
    place = new_place()
    for _ in range(2):
        async with connect(place) as database:
            await DatabaseModels(database).put(MODEL)
    async with connect(place) as database:
        assert [MODEL] == await DatabaseModels(database).all()


async def test_a_database_of_a_newer_release_is_refused(new_place: Places) -> None:
    place = new_place()
    async with connect(place) as database, database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Failed, match="9999"):
        async with connect(place):
            pass


async def test_several_first_starts_at_once_all_succeed(tmp_path: Path, cluster: Cluster) -> None:
    async def start(place: Path | str) -> Any:
        async with connect(place) as database, database.connect() as connection:
            return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()

    for place in (tmp_path / "haiga.db", cluster.url(cluster.database())):
        assert [REVISION] * 3 == await asyncio.gather(*(start(place) for _ in range(3)))


async def test_on_postgres_too_the_schema_from_scratch_equals_the_one_by_migrations(
    cluster: Cluster, emptied: Callable[[], str]
) -> None:
    scratch = cluster.database()

    def compared(connection: Connection) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)

    migrated = emptied()
    async with connect(migrated) as database, database.connect() as connection:
        assert [] == await connection.run_sync(compared)
    async with connect(cluster.url(scratch)) as database, database.begin() as connection:
        await connection.run_sync(METADATA.drop_all)
        await connection.run_sync(METADATA.create_all)
    name = migrated.rpartition("@/")[2].partition("?")[0]
    for query in (COLUMNS, INDEXES):
        assert cluster.sql(query, scratch) == cluster.sql(query, name)


@pytest.mark.parametrize("at", ["127.0.0.1:1/db", "127.0.0.1:x/db", "/db?host=/nowhere"])
async def test_a_database_that_cannot_be_reached_is_named_without_its_password(at: str) -> None:
    named = at.partition("?")[0]
    with pytest.raises(Failed, match=re.escape(f"database postgresql://{named}: ")) as caught:
        async with connect(f"postgresql://me:secret@{at}"):
            pass
    assert "secret" not in str(caught.value)


async def test_a_database_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(Failed, match=r'postgresql:///nowhere: .*database "nowhere" does not exist'):
        async with connect(cluster.url("nowhere")):
            pass


async def test_after_a_restart_of_the_database_the_next_request_succeeds(own_cluster: Cluster) -> None:
    async with connect(own_cluster.url(own_cluster.database())) as database:
        models = DatabaseModels(database)
        await models.put(MODEL)
        await asyncio.gather(*(models.all() for _ in range(6)))  # several connections stay open in the pool
        for mode in ("fast", "immediate"):
            own_cluster.stop(mode)
            with pytest.raises(Busy):
                await models.all()
            own_cluster.start()
            assert [[MODEL]] * 6 == await asyncio.gather(*(models.all() for _ in range(6)))


async def test_what_is_under_way_when_the_database_goes_fails_with_busy(own_cluster: Cluster) -> None:
    async with connect(own_cluster.url(own_cluster.database())) as database:

        async def sleep() -> None:
            async with database.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))

        sleeping = asyncio.create_task(sleep())
        while "1" not in own_cluster.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"):
            await asyncio.sleep(0.01)
        own_cluster.stop()
        with pytest.raises(Busy):
            await sleeping


@pytest.mark.parametrize("id", ["resp_\0", "resp_\ud800"])
async def test_a_name_that_no_text_can_have_is_the_callers_mistake(emptied: Callable[[], str], id: str) -> None:
    async with connect(emptied()) as database:
        with pytest.raises(Invalid):
            await DatabaseResponses(database).get("w", id, 1)


async def test_servers_over_one_postgres_have_their_secret_in_common(
    emptied: Callable[[], str], tmp_path: Path
) -> None:
    files = [tmp_path / name / "signing.key" for name in "abc"]
    async with connect(emptied()) as database:
        await asyncio.gather(*(share_secret(database, file) for file in files))
    assert 1 == len({kept_secret(file) for file in files})
    assert {0o600} == {file.stat().st_mode & 0o777 for file in files}


async def test_over_sqlite_a_secret_stays_in_its_file(tmp_path: Path) -> None:
    async with connect(tmp_path / "haiga.db") as database:
        await share_secret(database, tmp_path / "signing.key")
        async with database.connect() as connection:
            assert [] == (await connection.execute(select(SECRETS))).all()
