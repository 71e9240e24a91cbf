"""No request to the routes of files, uploads and batches gets a 500 or a traceback: made from the OpenAPI document."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from sqlalchemy.ext.asyncio import create_async_engine

from haiga.engines.fake import FakeEngine
from haiga.services.batches import Batches
from haiga.services.files import Files
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.files import DatabaseFiles
from haiga.web.app import Services, create_app
from tests.wire.batch_server import serving_batches
from tests.wire.responses_server import Workspaces

CHECKS: list[Any] = [not_a_server_error, content_type_conformance, response_schema_conformance]


def document() -> dict[str, Any]:
    """What a server says of itself; this one is never asked anything else."""
    database = create_async_engine("sqlite+aiosqlite://")
    batches = Batches(DatabaseBatches(database), wake=lambda: None)
    files = Files(DatabaseFiles(database), DiskBlobs(Path("nowhere")))
    return create_app(Services(Workspaces(), Inference(Models({})), batches=batches, files=files)).openapi()


configuration = schemathesis.Config.from_dict(
    {"generation": {"mode": "all", "deterministic": True, "no-shrink": True, "database": "none"}}
)
schema = schemathesis.openapi.from_dict(document(), config=configuration).include(
    path_regex="^/v1/(files|uploads|batches|messages/batches)"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_batches(tmp_path_factory.mktemp("fuzz") / "db", [FakeEngine()]) as url:
        yield url


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Unforeseen errors are logged with their traceback: there must be none."""
    yield
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_describes_or_forbids_never_fails(case: schemathesis.Case, url: str) -> None:
    case.validate_response(case.call(base_url=url, headers={"x-api-key": "team"}), checks=CHECKS)
