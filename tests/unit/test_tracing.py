"""Spans of questions to models: what they say, how they lie in time, and that nothing of what was said is in them."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from haiga.core.access import Caller, Origin
from haiga.core.embedding import EmbeddingRequest
from haiga.core.errors import Failed
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    SamplingRequest,
    Served,
    Started,
    TextDelta,
    TextRequest,
    Usage,
)
from haiga.core.messages import Message, Text
from haiga.engines.fake import FakeEmbedder
from haiga.services.tracing import Tracing

SECOND = 1_000_000_000
ASKED = TextRequest(
    "m",
    (Message("user", (Text("a riddle"),)),),
    50,
    system=(Text("be kind"),),
    sampling=SamplingRequest(temperature=0.5),
)
CALLER = Caller("key_1", "team", origin=Origin(answer="msg_1", session="talk", streamed=True))
USAGE = Usage(input=7, cache_read=3)


class World:
    """A clock of seconds, and a model that is slow at known moments."""

    def __init__(self, content: bool = False) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.now = 100
        self.stage = Tracing(provider.get_tracer("t"), content, lambda: self.now * SECOND)

    async def model(self, caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.now = 110
        yield Started(USAGE, waited=4.0, ran=2.0)
        self.now = 115
        yield BlockStarted(0, Text(""))
        yield TextDelta(0, "an answer")
        yield BlockStopped(0)
        self.now = 120
        yield Finished("end_turn", Usage(input=7, cache_read=3, output=2))

    async def ask(self, events: Any = None) -> None:
        async for _ in self.stage.answer(CALLER, ASKED, events or self.model):
            pass

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


def times(spans: dict[str, ReadableSpan]) -> dict[str, tuple[float, float]]:
    return {name: ((span.start_time or 0) / SECOND, (span.end_time or 0) / SECOND) for name, span in spans.items()}


async def test_queue_prefill_and_decode_lie_in_the_span_of_the_question() -> None:
    world = World()
    await world.ask()
    spans = world.spans()
    assert {"chat m": (100, 120), "queue": (104, 108), "prefill": (108, 115), "decode": (115, 120)} == times(spans)
    parent = spans["chat m"].context
    assert {parent.span_id} == {spans[name].parent.span_id for name in ("queue", "prefill", "decode")}


async def test_a_span_speaks_in_the_conventions_and_says_nothing_of_what_was_said() -> None:
    world = World()
    await world.ask()
    said = dict(world.spans()["chat m"].attributes or {})
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "haiga",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.response.id": "msg_1",
        "gen_ai.conversation.id": "talk",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.output_tokens": 2,
        "haiga.workspace": "team",
        "haiga.tier": "standard",
        "haiga.api_key.id": "key_1",
    } == said


async def test_content_is_there_for_those_who_ask_for_it() -> None:
    world = World(content=True)
    await world.ask()
    said: Any = world.spans()["chat m"].attributes
    assert [{"role": "user", "parts": [{"type": "text", "content": "a riddle"}]}] == json.loads(
        said["gen_ai.input.messages"]
    )
    (answer,) = json.loads(said["gen_ai.output.messages"])
    assert ([{"type": "text", "content": "an answer"}], "end_turn") == (answer["parts"], answer["finish_reason"])
    assert "be kind" in said["gen_ai.system_instructions"]


async def test_a_failure_is_named_and_its_span_has_ended() -> None:
    async def failing(caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
        yield Started(USAGE)
        raise Failed("a riddle was too hard")

    world = World()
    with pytest.raises(Failed):
        await world.ask(failing)
    span = world.spans()["chat m"]
    assert ("failed", False) == ((span.attributes or {})["error.type"], span.status.is_ok)
    assert "riddle" not in span.to_json()


async def test_a_reader_who_goes_away_ends_the_span_too() -> None:
    world = World()
    events = world.stage.answer(CALLER, ASKED, world.model)
    assert isinstance(await anext(events), Started)
    await events.aclose()
    assert "cancelled" == (world.spans()["chat m"].attributes or {})["error.type"]


async def test_of_another_server_s_answer_there_is_no_queue_here() -> None:
    async def elsewhere(caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
        yield Started(USAGE, Served("claude", "anthropic"))
        yield TextDelta(0, "x")
        yield Finished("end_turn", USAGE)

    world = World()
    await world.ask(elsewhere)
    spans = world.spans()
    assert ["chat m", "decode", "prefill"] == sorted(spans)
    said = spans["chat m"].attributes or {}
    assert ("claude", "anthropic") == (said["gen_ai.response.model"], said["gen_ai.provider.name"])


async def test_embeddings_are_a_span_of_their_own() -> None:
    async def ask(caller: Caller, request: EmbeddingRequest) -> Any:
        return await FakeEmbedder().embed(request)

    world = World()
    inputs: Sequence[str] = ("one two",)
    await world.stage.embed(CALLER, EmbeddingRequest("vectors", tuple(inputs)), ask)
    said = world.spans()["embeddings vectors"].attributes or {}
    assert ("embeddings", 2) == (said["gen_ai.operation.name"], said["gen_ai.usage.input_tokens"])
