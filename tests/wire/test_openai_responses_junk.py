"""No request to the Responses and Conversations APIs, however malformed, gets a 500 or leaves a traceback."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
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
from haiga.web.app import create_app
from tests.unit.wire.openai.junk import VALUES, spoilt
from tests.unit.wire.openai_responses.test_responses_junk import BODY
from tests.unit.wire.openai_responses.told import frames
from tests.wire.openai_server import ABLE
from tests.wire.responses_server import keeping
from tests.wire.test_openai_chat_sdk import CALLING

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ASKED = {**BODY, "model": "fake", "conversation": None, "input": "one two", "tools": [], "tool_choice": "auto"}
SIMPLE = {name: ASKED[name] for name in ("model", "input", "metadata", "reasoning", "include")} | {
    "stream": False,
    "background": False,
    "store": True,
    "truncation": "auto",
    "previous_response_id": None,
    "max_output_tokens": 5,
}
IDS = st.sampled_from(["resp_x", "conv_x", "input_tokens", "compact", "%00", "é", "a" * 300, ".."])
PATHS = st.sampled_from(
    [
        "/v1/responses",
        "/v1/responses/{}",
        "/v1/responses/{}/cancel",
        "/v1/responses/{}/input_items",
        "/v1/responses/input_tokens",
        "/v1/conversations",
        "/v1/conversations/{}",
        "/v1/conversations/{}/items",
        "/v1/conversations/{}/items/{}",
    ]
)
QUERIES = st.dictionaries(
    st.sampled_from(["stream", "starting_after", "after", "limit", "order", "include[]"]),
    st.sampled_from(["true", "0", "-1", "x", "", "1e9", "9" * 30, "asc"]),
    max_size=2,
)


CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
configuration = schemathesis.Config.from_dict(
    {"generation": {"mode": "all", "deterministic": True, "no-shrink": True, "database": "none"}}
)


FOLDER = TemporaryDirectory()
ENGINES = [FakeEngine(), FakeEngine(ABLE, CALLING)]
APP = create_app(keeping(Path(FOLDER.name) / "db", ENGINES, aliases=[("*", "able")]))  # any name is answered
schema = schemathesis.openapi.from_asgi("/openapi.json", APP, config=configuration).include(
    path_regex="^/v1/(responses|conversations)"
)


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[None]:
    yield
    FOLDER.cleanup()


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Unforeseen errors are logged with their traceback: there must be none."""
    yield
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def ask(method: str, path: str, **sent: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://localhost") as client:
            return await client.request(method, path, headers={"x-api-key": "w"}, **sent)

    return asyncio.run(asked())


def fine(response: httpx.Response) -> bool:
    """A success, or a refusal in OpenAI's form."""
    if response.status_code == 200:
        return True
    error = response.json()["error"]
    return 400 <= response.status_code < 500 and bool(error["message"]) and {"type", "param", "code"} <= error.keys()


@FUZZ
@given(body=spoilt(SIMPLE) | spoilt({**BODY, "model": "able", "conversation": None}), stream=st.booleans())
def test_a_spoilt_request_succeeds_or_is_refused(body: dict[str, Any], stream: bool) -> None:
    response = ask("POST", "/v1/responses", content=orjson.dumps({"stream": stream, **body}))
    assert fine(response)
    if response.headers["content-type"].startswith("text/event-stream"):
        events = list(frames(response.content))
        assert list(range(len(events))) == [event["sequence_number"] for event in events]
        assert events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed")


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    path=PATHS,
    ids=st.tuples(IDS, IDS),
    query=QUERIES,
    body=VALUES.map(orjson.dumps) | st.binary(max_size=30) | spoilt({"items": BODY["input"]}).map(orjson.dumps),
)
def test_any_request_to_any_route_succeeds_or_is_refused(
    method: str, path: str, ids: tuple[str, str], query: dict[str, str], body: bytes
) -> None:
    assert fine(ask(method, path.format(*ids), params=query, content=body))


@schema.parametrize()
@settings(FUZZ, max_examples=10)
def test_what_the_document_describes_or_forbids_is_answered_as_it_says(case: schemathesis.Case) -> None:
    case.validate_response(case.call(headers={"x-api-key": "w"}), checks=CHECKS)
