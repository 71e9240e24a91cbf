"""Streams and clients that go away: one request at a time, straight into the ASGI application."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import anthropic
import pytest
from starlette.types import Message, Scope

from haiga.core.errors import Busy
from haiga.core.generation import BlockStarted, Event, Progress, TextDelta, TextRequest
from haiga.core.messages import Text
from haiga.engines.fake import CARD, FakeEngine
from haiga.web.app import WebSettings, create_app
from tests.wire.anthropic_server import services
from tests.wire.client_checks import HI, KEY
from tests.wire.openai_server import serving

LONG = WebSettings(open=False, patience=60.0, ping=60.0)
HEADERS = [(b"anthropic-version", b"2023-06-01"), (b"x-api-key", KEY.encode())]


class Held(FakeEngine):
    """Says nothing until `release` is set, then echoes or raises what it is given; counts requests under way."""

    def __init__(self, then: Busy | None = None) -> None:
        super().__init__(replace(CARD, name="held"))
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self.under_way = 0
        self._then = then

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.under_way += 1
        try:
            self.asked.set()
            await self.release.wait()
            if self._then:
                raise self._then
            async for event in super().generate(request):
                yield event
        finally:
            self.under_way -= 1


@dataclass
class Exchange:
    """One request: what the server sends, and a way to hang up."""

    sent: list[Message] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    grew: asyncio.Event = field(default_factory=asyncio.Event)
    body: bytes = b""

    async def run(self, engine: FakeEngine, settings: WebSettings = LONG, **fields: Any) -> None:
        body = {"model": engine.card.name, "max_tokens": 50, "messages": HI, **fields}
        unread = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

        async def receive() -> Message:
            if unread:
                return unread.pop()
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)
            self.body += message.get("body", b"")
            self.grew.set()

        scope: Scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b""}
        app = create_app(services([engine], settings))
        await app({**scope, "headers": HEADERS, "http_version": "1.1", "scheme": "http"}, receive, send)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.grew.clear()
            await self.grew.wait()

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_before_the_first_token_aborts_the_request(stream: bool):
    engine, exchange = Held(), Exchange()
    task = asyncio.create_task(exchange.run(engine, stream=stream))
    await engine.asked.wait()
    exchange.gone.set()
    await task
    assert 0 == engine.under_way


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_in_the_middle_aborts_the_request(stream: bool):
    engine, exchange = FakeEngine(script=[BlockStarted(0, Text("")), TextDelta(0, "one"), 60.0]), Exchange()
    task = asyncio.create_task(exchange.run(engine, stream=stream))
    while not engine.busy:
        await asyncio.sleep(0)
    exchange.gone.set()
    await task
    assert 0 == engine.busy


async def test_an_sdk_that_closes_its_stream_closes_the_engines_iterator():
    engine = FakeEngine(replace(CARD, name="slow"), script=[BlockStarted(0, Text("")), TextDelta(0, "one"), 60.0])
    with serving(services([engine])) as url:
        async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
            async with client.messages.stream(model="slow", max_tokens=9, messages=HI) as stream:
                assert "one" == await anext(aiter(stream.text_stream))
                assert 1 == engine.busy
            while engine.busy:
                await asyncio.sleep(0.01)


async def test_what_fails_before_the_first_event_is_an_ordinary_http_error():
    engine, exchange = Held(Busy("full", retry_after=3)), Exchange()
    engine.release.set()
    await exchange.run(engine, stream=True)
    headers = dict(exchange.sent[0]["headers"])
    assert (529, b"3", b"application/json") == (exchange.status, headers[b"retry-after"], headers[b"content-type"])


async def test_a_stream_that_waits_too_long_starts_without_its_first_event():
    engine, exchange = Held(), Exchange()
    impatient = replace(LONG, patience=0.0, ping=0.01)
    task = asyncio.create_task(exchange.run(engine, impatient, stream=True))
    await exchange.until(lambda: b"\n\n" in exchange.body)
    assert (200, True) == (exchange.status, exchange.body.startswith(b": "))
    engine.release.set()
    await task
    assert 1 == exchange.body.count(b"event: message_start\n")
    assert exchange.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_what_fails_after_a_late_start_is_an_error_event():
    engine, exchange = Held(Busy("full")), Exchange()
    task = asyncio.create_task(exchange.run(engine, replace(LONG, patience=0.0), stream=True))
    await exchange.until(lambda: bool(exchange.sent))
    engine.release.set()
    await task
    error = json.loads(exchange.body.partition(b"data: ")[2])
    assert ("error", "overloaded_error") == (error["type"], error["error"]["type"])


async def test_silence_is_filled_with_pings():
    engine, exchange = FakeEngine(script=[60.0]), Exchange()
    task = asyncio.create_task(exchange.run(engine, replace(LONG, ping=0.01), stream=True))
    await exchange.until(lambda: exchange.body.count(b"event: ping") > 2)
    exchange.gone.set()
    await task
    assert exchange.body.startswith(b"event: message_start\n")


async def test_progress_of_a_long_prefill_is_a_ping():
    exchange = Exchange()
    await exchange.run(FakeEngine(script=[Progress(1, 2), Progress(2, 2)]), stream=True)
    assert 2 == exchange.body.count(b"event: ping\n")


async def test_a_streams_headers_keep_it_unbuffered():
    exchange = Exchange()
    await exchange.run(FakeEngine(), stream=True)
    headers = dict(exchange.sent[0]["headers"])
    assert b"text/event-stream; charset=utf-8" == headers[b"content-type"]
    assert b"no-cache" == headers[b"cache-control"]
    assert b"content-length" not in headers
    assert b"req_" == headers[b"request-id"][:4]
    kept_apart = [message["body"] for message in exchange.sent if message.get("body")]
    assert 7 == len(kept_apart)  # start, block, three words, block, end


async def test_an_unforeseen_error_in_a_stream_is_an_api_error_that_tells_nothing(caplog: pytest.LogCaptureFixture):
    class Broken(FakeEngine):
        async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
            async for event in super().generate(request):
                yield event
                if isinstance(event, TextDelta):
                    raise RuntimeError("a secret")

    exchange = Exchange()
    await exchange.run(Broken(), stream=True)
    events = [line for line in exchange.body.split(b"\n") if line.startswith(b"event: ")]
    assert [b"event: content_block_stop", b"event: error"] == events[-2:]
    assert b"secret" not in exchange.body
    assert "a secret" in caplog.text
