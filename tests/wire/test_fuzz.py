"""No request, however malformed, gets a 500 or a traceback: generated from the OpenAPI document, and from nothing."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from haiga.engines.fake import FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, WebSettings, create_app
from tests.wire.client_checks import KEY
from tests.wire.openai_server import OneKey

MODELS = Models({"fake": FakeEngine()}, [("*", "fake")])  # whatever name comes is answered
APP = create_app(Services(OneKey(KEY), Inference(MODELS), WebSettings(open=False)))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
JUNK = [b"{", b"[" * 5000, b'{"model":' * 500, b"\xff", b"null", b'{"max_tokens": 1e999}', b'"\\ud800"']
OPERATIONS = ["/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/v1/models/{id}"]
FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

configuration = schemathesis.Config.from_dict(
    {"generation": {"mode": "all", "deterministic": True, "no-shrink": True, "database": "none"}}
)
schema = schemathesis.openapi.from_asgi("/openapi.json", APP, config=configuration).include(path=OPERATIONS)


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Any:
    """Unforeseen errors are logged with their traceback: there must be none."""
    yield
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@schema.parametrize()
@FUZZ
def test_what_the_document_describes_or_forbids_never_fails(case: schemathesis.Case):
    response = case.call(headers={"x-api-key": KEY})
    assert response.headers["request-id"]
    case.validate_response(response, checks=CHECKS)


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "anthropic-version": st.sampled_from(["2023-06-01", "2026-10-21"]) | st.text(PRINTABLE),
        "anthropic-beta": st.text(PRINTABLE),
        "x-api-key": st.just(KEY) | st.text(PRINTABLE),
        "authorization": st.text(PRINTABLE),
        "content-type": st.text(PRINTABLE),
    },
)


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]),
    path=st.sampled_from(["/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/v1/models/a", "/", "/x"]),
    query=st.text(PRINTABLE, max_size=20),
    headers=HEADERS,
    body=st.binary(max_size=50) | st.sampled_from(JUNK),
)
def test_what_no_document_describes_never_fails(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
):
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://localhost") as client:
            return await client.request(method, path, params=query, headers=headers, content=body)

    response = asyncio.run(ask())
    assert response.status_code < 500
    assert response.headers["request-id"]
