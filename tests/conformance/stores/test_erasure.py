"""Deleting a workspace leaves nothing of it, and everything of the others."""

from typing import Any

import pytest
from sqlalchemy import Column, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.access import Workspace
from haiga.services.keyring import Keyring
from haiga.stores.erasure import erase
from haiga.stores.keys import DatabaseKeys
from haiga.stores.tables import METADATA

OWNED = [table for table in METADATA.sorted_tables if "workspace" in table.c and table.name != "api_keys"]
TEAM = Workspace("team", "wrkspc_team", 1)


def value(column: "Column[Any]", of: str) -> Any:
    """Something that the column can hold, another one for each workspace."""
    if column.name in ("workspace", "owner"):
        return of
    if column.type.python_type is str:
        return of[:8]
    return column.type.python_type(b"x") if column.type.python_type is bytes else column.type.python_type(len(of))


@pytest.fixture
async def kept(database: AsyncEngine) -> AsyncEngine:
    """A database in which two workspaces have something in every table."""
    async with database.begin() as connection:
        for table in OWNED:
            for of in ("team", "others"):
                await connection.execute(insert(table).values({c.name: value(c, of) for c in table.c}))
        for name, owner, start in (("items", "owner", ""), ("batch_lines", "batch", ""), ("meters", "name", "wrkspc_")):
            table = METADATA.tables[name]
            for of in ("team", "others"):
                owned = {owner: f"{start}{of}:requests" if start else of}
                await connection.execute(insert(table).values({c.name: value(c, of) for c in table.c} | owned))
    return database


async def test_nothing_of_the_workspace_is_left_and_everything_of_others(kept: AsyncEngine) -> None:
    keyring = Keyring(DatabaseKeys(kept))
    await keyring.change_workspace(TEAM)
    await keyring.create_key("ours", "team")
    theirs, _ = await keyring.create_key("theirs", "others")
    gone = await erase(kept, TEAM, 5)
    assert {table.name: 1 for table in OWNED} | dict.fromkeys(
        ("items", "batch_lines", "meters", "workspaces", "api_keys"), 1
    ) == gone
    async with kept.connect() as connection:
        for table in (*OWNED, *(METADATA.tables[name] for name in ("items", "batch_lines", "meters"))):
            rows = (await connection.execute(select(table))).all()
            assert 1 == len(rows) and "team" not in map(str, rows[0]), table.name
    assert ["others"] == [each.name for each in await keyring.workspaces()]
    left, other = sorted(await keyring.list(), key=lambda key: key.name)
    assert ("deleted", "", 5) == (left.name, left.hint, left.revoked_at)
    assert theirs == other
