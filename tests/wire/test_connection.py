"""Clients that misbehave below HTTP: they send nothing, or no end of it, do not read, or go away in the middle."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from haiga.web import connection
from haiga.web.app import create_app
from haiga.web.connection import Connection
from tests.wire.anthropic_server import services
from tests.wire.client_checks import KEY

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
POST = (
    f"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\n"
    "anthropic-version: 2023-06-01\r\ncontent-length: 100\r\n\r\n"
).encode()


class Endless:
    """An application that answers until its client has gone; `gone` says that it has noticed."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.begun, self.gone = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.set()
        writing = asyncio.create_task(self._write(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        writing.cancel()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": self._piece, "more_body": True})
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Callable[[], Any]]:
    """A server on loopback; yields what opens a connection to it."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Connection, ws="none", lifespan="off", log_level="error"))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        server.should_exit = server.force_exit = True
        await task


async def answer_to(data: bytes) -> tuple[bytes, bytes]:
    """Head and body of what comes back before the server closes the connection."""
    async with serving(create_app(services())) as connect:
        reader, writer = await connect()
        writer.write(data)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    return head, body


@pytest.mark.parametrize("endless", [b"x-more: and more\r\n", b"y"])
async def test_headers_without_end_are_refused(endless: bytes) -> None:
    async with serving(create_app(services())) as connect:
        reader, writer = await connect()
        writer.write(GET + b"x: ")
        for _ in range(300):
            writer.write(endless * (1024 // len(endless)))
            await asyncio.sleep(0.001)
            if reader.at_eof():
                break
        with suppress(ConnectionError):  # what the server did not read any more
            assert b"HTTP/1.1 400" in await reader.read()
        writer.close()


async def test_what_is_no_http_is_refused_in_the_apis_shape() -> None:
    head, body = await answer_to(b"\x16\x03\x01 hello\r\n\r\n")
    error = json.loads(body)
    assert ("error", "invalid_request_error") == (error["type"], error["error"]["type"])
    assert f"request-id: {error['request_id']}".encode() in head


async def test_two_host_headers_are_refused() -> None:
    head, body = await answer_to(GET + b"host: evil.example\r\nconnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert "there is more than one Host header" == json.loads(body)["error"]["message"]


@pytest.mark.parametrize("data", [b"", b"\r\n", GET, POST, POST + b"{"])
async def test_a_client_that_stops_sending_is_let_go(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GRACE", 0.05)
    await answer_to(data)  # ends when the server closes the connection


async def test_a_body_that_goes_on_arriving_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GRACE", 0.05)
    monkeypatch.setattr(connection, "ENOUGH", 1)
    async with serving(create_app(services())) as connect:
        reader, writer = await connect()
        writer.write(POST)
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.002)
        assert b"The request body is not valid JSON" in await reader.readuntil(b"}")
        writer.close()


async def test_a_client_that_does_not_read_its_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD", 0.05)
    app = Endless(b"x" * 1_000_000)
    async with serving(app) as connect:
        _, writer = await connect()
        writer.write(GET + b"\r\n")
        await asyncio.wait_for(app.gone.wait(), 10)
        writer.close()


async def test_a_client_that_sent_two_requests_and_went_ends_the_first() -> None:
    app = Endless(b"x")
    async with serving(app) as connect:
        _, writer = await connect()
        writer.write((GET + b"\r\n") * 2)
        await app.begun.wait()
        writer.transport.abort()
        await asyncio.wait_for(app.gone.wait(), 10)


async def test_a_client_that_leaves_within_its_body_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with serving(create_app(services())) as connect:
            _, writer = await connect()
            writer.write(POST + b"{")
            await asyncio.sleep(0.05)
            writer.transport.abort()
            await asyncio.sleep(0.05)
    assert [] == caplog.records
