"""What every request meets on its way, whatever it asks: ids, errors in its family's shape, hosts, limits, CORS."""

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from haiga.cli.logs import log_on_stderr
from haiga.web.app import Services, WebSettings, create_app
from tests.wire.anthropic_server import services
from tests.wire.client_checks import KEY

LOCAL = "http://127.0.0.1:8000"
OLD = {"anthropic-version": "2023-06-01", "x-api-key": KEY}
HELLO = {"model": "fake", "max_tokens": 5, "messages": [{"role": "user", "content": "one two"}]}


def connect(served: Services) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(served)), base_url=LOCAL)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with connect(services(settings=WebSettings(open=True, allowed_hosts=("haiga.lan",), body_limit=1000))) as it:
        yield it


def anthropic_error(response: httpx.Response) -> tuple[int, str]:
    """Status and type, after a look at the rest of the envelope."""
    body = response.json()
    assert ("error", response.headers["request-id"]) == (body["type"], body["request_id"])
    return response.status_code, body["error"]["type"]


@pytest.mark.parametrize("headers", [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}])
async def test_a_request_is_answered_with_either_credential_and_an_id(client: httpx.AsyncClient, headers: Any):
    response = await client.post("/v1/messages?beta=true", json=HELLO, headers=OLD | headers)
    assert (200, "one two") == (response.status_code, response.json()["content"][0]["text"])
    assert response.headers["request-id"].startswith("req_")


async def test_a_placeholder_in_one_header_does_not_spoil_the_key_in_the_other(client: httpx.AsyncClient):
    for headers in ({"x-api-key": "x", "authorization": f"Bearer {KEY}"}, {"authorization": "Bearer x"}):
        response = await client.post("/v1/messages", json=HELLO, headers=OLD | headers)
        assert 200 == response.status_code


async def test_no_credential_is_an_authentication_error(client: httpx.AsyncClient):
    response = await client.post("/v1/messages", json=HELLO, headers={"anthropic-version": "2023-06-01"})
    assert (401, "authentication_error") == anthropic_error(response)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/messages", (405, "invalid_request_error")),
        ("POST", "/v1/messages/elsewhere", (404, "not_found_error")),
        ("DELETE", "/v1/models", (405, "invalid_request_error")),
        ("GET", "/nowhere", (404, "not_found_error")),
        ("GET", "/v1/models/no/such", (404, "not_found_error")),
        ("GET", "/v1/models?limit=0", (400, "invalid_request_error")),
        ("GET", "/v1/models?limit=1001", (400, "invalid_request_error")),
        ("GET", "/v1/models?limit=ten", (400, "invalid_request_error")),
        ("GET", "/v1/models?after_id=other", (400, "invalid_request_error")),
        ("POST", "/v1/messages", (400, "invalid_request_error")),
    ],
)
async def test_a_wrong_turn_is_told_in_anthropics_shape(
    client: httpx.AsyncClient, method: str, path: str, expected: tuple[int, str]
):
    assert expected == anthropic_error(await client.request(method, path, headers=OLD))


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [("/v1/nowhere", 404, None), ("/v1/models/no/such", 404, None), ("/v1/models?limit=0", 400, "limit")],
)
async def test_without_the_version_header_it_is_told_in_openais_shape(
    client: httpx.AsyncClient, path: str, status: int, param: str | None
):
    response = await client.get(path, headers={"authorization": f"Bearer {KEY}"})
    assert (status, param) == (response.status_code, response.json()["error"]["param"])
    assert response.headers["request-id"].startswith("req_")


async def test_one_path_lists_the_models_for_both_families(client: httpx.AsyncClient):
    theirs = (await client.get("/v1/models", headers=OLD)).json()
    ours = (await client.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})).json()
    assert [model["id"] for model in ours["data"]] == [model["id"] for model in theirs["data"]]
    assert ("list", False) == (ours["object"], theirs["has_more"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/health", "/api/hello"])
async def test_the_server_tells_that_it_is_there(client: httpx.AsyncClient, method: str, path: str):
    assert 200 == (await client.request(method, path)).status_code


async def test_it_is_ready_once_a_model_can_be_asked(client: httpx.AsyncClient):
    await client.post("/v1/messages", json=HELLO, headers=OLD)
    assert 200 == (await client.get("/ready")).status_code


# --- limits ---


async def test_a_body_that_declares_too_much_is_refused_unread(client: httpx.AsyncClient):
    response = await client.post("/v1/messages", content=b"x", headers=OLD | {"content-length": "1001"})
    assert (413, "request_too_large") == anthropic_error(response)


async def test_a_body_that_declares_nothing_is_refused_once_it_is_too_large(client: httpx.AsyncClient):
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 100
            yield b"x" * 100

    response = await client.post("/v1/messages", content=chunks(), headers=OLD)
    assert (413, "request_too_large") == anthropic_error(response)
    assert sent < 1200


# --- open servers ---


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST", "haiga.lan:80"])
async def test_an_open_server_answers_to_local_and_allowed_names(client: httpx.AsyncClient, host: str):
    assert 200 == (await client.get("/health", headers={"host": host})).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example:8000"},
        {"host": "localhost.example"},
        {"host": "[::1"},
        {"host": ""},
        {"origin": "https://page.example"},
        {"origin": "null"},
    ],
)
async def test_an_open_server_refuses_other_names_and_origins(client: httpx.AsyncClient, headers: dict[str, str]):
    response = await client.post("/v1/messages", json=HELLO, headers=OLD | headers)
    assert (403, "permission_error") == anthropic_error(response)


async def test_a_local_page_may_ask_an_open_server(client: httpx.AsyncClient):
    assert 200 == (await client.get("/health", headers={"origin": "http://localhost:3000"})).status_code


async def test_a_server_with_keys_answers_to_any_name():
    async with connect(services(settings=WebSettings(open=False))) as client:
        response = await client.post("/v1/messages", json=HELLO, headers=OLD | {"host": "haiga.example"})
    assert 200 == response.status_code


async def test_origins_are_let_in_by_setting_and_see_errors_too():
    origin = "https://page.example"
    async with connect(services(settings=WebSettings(cors_origins=(origin,)))) as client:
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await client.options("/v1/messages", headers=asked)
        error = await client.post("/v1/messages", content=b"{", headers=OLD | {"origin": origin})
        stranger = await client.options("/v1/messages", headers=asked | {"origin": "https://other.example"})
    assert (200, origin) == (preflight.status_code, preflight.headers["access-control-allow-origin"])
    assert (400, origin) == (error.status_code, error.headers["access-control-allow-origin"])
    assert 400 == stranger.status_code


# --- errors nobody foresaw ---


async def test_an_unforeseen_error_is_an_api_error_that_tells_nothing(caplog: pytest.LogCaptureFixture):
    served = services()

    class Broken:
        async def authenticate(self, credential: str | None) -> Any:
            raise RuntimeError("a secret")

    async with connect(Services(Broken(), served.inference, served.settings)) as client:
        response = await client.post("/v1/messages", json=HELLO, headers=OLD)
    assert (500, "api_error") == anthropic_error(response)
    assert "secret" not in response.text
    assert "a secret" in caplog.text


async def test_the_log_tells_an_unforeseen_error_with_the_request_s_id(capsys: pytest.CaptureFixture[str]):
    served = services()

    class Broken:
        async def authenticate(self, credential: str | None) -> Any:
            raise RuntimeError("a secret")

    with log_on_stderr("json", "info"):
        async with connect(Services(Broken(), served.inference, served.settings)) as client:
            response = await client.post("/v1/messages?word=hidden", json=HELLO, headers=OLD)
    told, ended = map(json.loads, capsys.readouterr().err.splitlines())
    assert told["traceback"].endswith("RuntimeError: a secret")
    assert ("error", "failed") == (told["level"], ended["outcome"])
    assert ("POST", "/v1/messages", 500) == (ended["method"], ended["path"], ended["status"])
    assert [response.headers["request-id"]] * 2 == [told["request_id"], ended["request_id"]]


# --- documents ---


async def test_the_openapi_document_has_the_request_shapes_and_every_error(client: httpx.AsyncClient):
    document = (await client.get("/openapi.json")).json()
    create = document["paths"]["/v1/messages"]["post"]
    body = create["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    shape = document["components"]["schemas"][body.rsplit("/", 1)[1]]
    assert ["max_tokens", "messages", "model"] == sorted(shape["required"])
    assert {"200", "400", "401", "403", "404", "413", "429", "500", "529", "default"} == create["responses"].keys()
    text = json.dumps(document)
    assert all(f'"{name}":' in text for name in references(document))


def references(value: Any) -> set[str]:
    """The names of all shapes that a document refers to."""
    if isinstance(value, dict):
        own = {value["$ref"].rsplit("/", 1)[1]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    return set[str]().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()


async def test_the_docs_page_shows_every_url_and_fetches_nothing(client: httpx.AsyncClient):
    page = (await client.get("/docs")).text
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert all(path in page for path in paths)
    assert not any(word in page for word in ("<script", "src=", "http://", "https://", "@import", "url("))


def requests_held() -> set[int]:
    return {id(each) for each in gc.get_objects() if isinstance(each, Request)}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_failed_is_let_go_at_once_with_its_body(client: httpx.AsyncClient, stream: bool):
    body = HELLO | {
        "model": "fake",
        "stream": stream,
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 4096,
    }
    await client.post("/v1/messages", json=body, headers=OLD)
    gc.collect()
    before = requests_held()  # by other tests, whose servers may still run
    gc.disable()
    try:
        assert 400 == (await client.post("/v1/messages", json=body, headers=OLD)).status_code
        assert set() == requests_held() - before
    finally:
        gc.enable()
