"""What every store does, whatever database is under it. A database joins by a line in KINDS."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.stores.connect import connect

Maker: TypeAlias = Callable[[], Path | str]


def _sqlite(request: pytest.FixtureRequest) -> Maker:
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return lambda: factory.mktemp("sqlite") / "haiga.db"


def _postgres(request: pytest.FixtureRequest) -> Maker:
    emptied: Callable[[], str] = request.getfixturevalue("emptied")
    return emptied


KINDS: Mapping[str, Callable[[pytest.FixtureRequest], Maker]] = {"sqlite": _sqlite, "postgres": _postgres}


@pytest.fixture(params=KINDS)
def new_place(request: pytest.FixtureRequest) -> Maker:
    """Each call names a database with nothing in it, as `connect` takes it."""
    return KINDS[request.param](request)


@pytest.fixture
async def database(new_place: Maker) -> AsyncIterator[AsyncEngine]:
    """An open database with nothing in it."""
    async with connect(new_place()) as engine:
        yield engine
