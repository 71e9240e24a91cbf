"""No request to OpenAI's or OpenRouter's routes gets a 500 or a traceback: generated from the OpenAPI document, from
bodies with parts replaced, and from nothing."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from haiga.engines.fake import FakeEmbedder, FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, WebSettings, create_app
from tests.unit.wire.openai.bodies import CHAT, COMPLETION, ROUTER
from tests.unit.wire.openai.junk import VALUES, spoilt
from tests.wire.openai_server import ABLE, OneKey

# whatever name comes is answered, with text or with vectors
MODELS = Models({"able": FakeEngine(ABLE)}, [("*", "able")], embedders={"able": FakeEmbedder()})
APP = create_app(Services(OneKey(), Inference(MODELS), WebSettings(open=False)))
CHECKS: list[Any] = [not_a_server_error, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/api/v1/embeddings",
    "/api/v1/chat/completions",
    "/api/v1/messages",
    "/api/v1/models",
    "/api/v1/models/{id}/endpoints",
    "/api/v1/model/{id}",
    "/api/v1/generation",
    "/api/v1/key",
]
BODIES = {"/v1/chat/completions": CHAT, "/v1/completions": COMPLETION, "/api/v1/chat/completions": ROUTER}
FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

configuration = schemathesis.Config.from_dict(
    {"generation": {"mode": "all", "deterministic": True, "no-shrink": True, "database": "none"}}
)
schema = schemathesis.openapi.from_asgi("/openapi.json", APP, config=configuration).include(path=OPERATIONS)


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Unforeseen errors are logged with their traceback: there must be none."""
    yield
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@schema.parametrize()
@FUZZ
def test_what_the_document_describes_or_forbids_never_fails(case: schemathesis.Case) -> None:
    case.validate_response(case.call(), checks=CHECKS)


def post(path: str, body: bytes) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://localhost") as client:
            return await client.post(path, content=body)

    return asyncio.run(ask())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(BODIES)).flatmap(lambda path: st.tuples(st.just(path), spoilt(BODIES[path]))))
def test_a_spoilt_body_never_fails(asked: tuple[str, dict[str, Any]]) -> None:
    response = post(asked[0], orjson.dumps(asked[1]))
    assert response.status_code < 500
    assert response.status_code == 200 or "message" in response.json()["error"]


@FUZZ
@given(st.sampled_from(sorted(BODIES)), st.binary(max_size=40) | VALUES.map(orjson.dumps))
def test_any_bytes_never_fail(path: str, body: bytes) -> None:
    assert 400 == post(path, body).status_code


@pytest.mark.parametrize("path", sorted(BODIES))
def test_the_bodies_that_are_spoilt_are_answered(path: str) -> None:
    assert 200 == post(path, orjson.dumps({**BODIES[path], "model": "able"})).status_code
