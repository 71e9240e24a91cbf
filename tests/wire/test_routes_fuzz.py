"""No route of the server gets a 500 or a traceback, whatever is asked of it: every operation of the OpenAPI document of
the server as it is composed, on a database of its own. New routes are among them by themselves."""

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.cli.http import build_server
from haiga.config import read_settings
from haiga.core.generation import BlockStarted, BlockStopped, TextDelta
from haiga.core.messages import Text
from haiga.engines.fake import FakeEmbedder, FakeEngine
from haiga.services.access import Access
from haiga.services.models import Models
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from tests.wire.openai_server import ABLE
from tests.wire.test_fuzz import OPERATIONS as MESSAGES
from tests.wire.test_openai_fuzz import OPERATIONS as OPENAI

FOLDER = tempfile.TemporaryDirectory()  # the document is read before any fixture is made


def server() -> Any:
    """The composed app; a connection per use, since each call has an event loop of its own."""
    file = Path(FOLDER.name) / "haiga.db"

    async def made() -> None:
        async with connect(file):
            pass

    asyncio.run(made())
    database = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool)
    event.listen(database.sync_engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    yes = (BlockStarted(0, Text("")), TextDelta(0, "Yes."), BlockStopped(0))
    models = Models({"able": FakeEngine(ABLE, yes)}, [("*", "able")], embedders={"able": FakeEmbedder()})
    told = read_settings({"data_dir": FOLDER.name, "offline": "true"}, {})
    return build_server(told, Access(DatabaseKeys(database), open_when_empty=True), models, database, False).config.app


configuration = schemathesis.Config.from_dict(
    {"generation": {"mode": "all", "deterministic": True, "no-shrink": True, "database": "none"}}
)
APP = server()
schema = schemathesis.openapi.from_asgi("/openapi.json", APP, config=configuration).exclude(path=[*MESSAGES, *OPENAI])


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Unforeseen errors are logged with their traceback: there must be none."""
    yield
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_describes_or_forbids_never_fails(case: schemathesis.Case) -> None:
    case.validate_response(case.call(), checks=[not_a_server_error])
