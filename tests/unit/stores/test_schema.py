"""The schema: from scratch and by migrations it is the same."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from haiga.core.errors import Failed
from haiga.stores import migrations
from haiga.stores.connect import REVISION, connect
from haiga.stores.tables import METADATA


def described(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%'"))
    # column order and constraint spelling count; white space and quotes do not
    return {row.name: "".join((row.sql or "").replace('"', "").split()) for row in rows}


def test_schema_from_scratch_equals_schema_by_migrations(tmp_path: Path) -> None:
    scratch, migrated = (create_engine(f"sqlite:///{tmp_path / name}") for name in ("scratch.db", "migrated.db"))
    with scratch.begin() as one, migrated.begin() as other:
        METADATA.create_all(one)
        migrations.upgrade(other)
        assert {"api_keys", "models"} <= set(inspect(other).get_table_names())
        assert [] == compare_metadata(MigrationContext.configure(other, opts={"compare_type": True}), METADATA)
        assert described(one) == described(other)


def test_the_newest_migration_is_the_revision_that_connect_expects() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [REVISION] == scripts.get_heads()


async def test_a_second_start_finds_the_schema_and_the_data(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "haiga.db"
    async with connect(file) as database, database.begin() as connection:
        await connection.execute(text("INSERT INTO models VALUES ('m', '/m', '/m', NULL, 1, NULL)"))
    async with connect(file) as database, database.connect() as connection:
        assert "m" == (await connection.execute(text("SELECT name FROM models"))).scalar()
        assert "wal" == (await connection.execute(text("PRAGMA journal_mode"))).scalar()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "haiga.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(Failed, match=r"haiga\.db: file is not a database"):
        async with connect(file):
            pass


async def test_nobody_else_can_read_what_is_kept(tmp_path: Path) -> None:
    async with connect(tmp_path / "haiga.db"):
        assert {0o600} == {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}


async def test_the_log_of_a_new_database_stays_open_between_connections(tmp_path: Path) -> None:
    async with connect(tmp_path / "haiga.db") as database:
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO models VALUES ('m', '/m', '/m', NULL, 1, NULL)"))
        assert (tmp_path / "haiga.db-wal").stat().st_size > 0
