"""Tools and schemas on a model with random weights, which obeys nothing but the grammar."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from haiga.core.errors import Invalid
from haiga.core.generation import Folder, Reply, SamplingRequest, TextRequest
from haiga.core.messages import Message, Text, Tool, ToolChoice, ToolUse, text_of
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from tests.served import make_model

WEATHER = Tool(
    "get_weather",
    "Tells the weather.",
    {
        "type": "object",
        "properties": {
            "city": {"enum": ["Paris", "Rome"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "units": {"type": "array", "items": {"enum": ["C", "F"]}, "minItems": 1, "maxItems": 2},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    },
)
CLOCK = Tool("clock", "Tells the time.", {"type": "object", "properties": {}, "additionalProperties": False})
REQUEST = TextRequest("tiny", (Message("user", (Text("Weather?"),)),), max_tokens=300, tools=(WEATHER, CLOCK))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=2048)


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[NativeEngine]:
    engine = open_engine(Found.at("tiny", directory, created=0), NativeOptions())
    await engine.start()
    yield engine
    await engine.close()


async def answer(engine: NativeEngine, request: TextRequest) -> Reply:
    folder = Folder()
    async with asyncio.timeout(60), aclosing(engine.generate(request)) as events:
        async for event in events:
            folder.add(event)
    return folder.reply()


async def answers(engine: NativeEngine, request: TextRequest, count: int) -> list[Reply]:
    """With so many seeds, together, at temperature 1."""
    seeded = [replace(request, sampling=SamplingRequest(temperature=1.0, seed=seed)) for seed in range(count)]
    return await asyncio.gather(*(answer(engine, each) for each in seeded))


def calls(reply: Reply) -> list[ToolUse]:
    return [block for block in reply.content if isinstance(block, ToolUse)]


def valid(call: ToolUse) -> bool:
    schema = {tool.name: tool.schema for tool in (WEATHER, CLOCK)}[call.name]
    return bool(jsonschema_rs.validator_for(dict(schema)).is_valid(dict(call.input)))


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (ToolChoice("any", parallel=False), {"get_weather", "clock"}),
        (ToolChoice("tool", "get_weather", parallel=False), {"get_weather"}),
        (ToolChoice("any", parallel=False, allowed=("clock",)), {"clock"}),
    ],
)
async def test_a_forced_call_is_made_and_is_valid(engine: NativeEngine, choice: ToolChoice, names: set[str]) -> None:
    replies = await answers(engine, replace(REQUEST, tool_choice=choice), 40)
    assert {"tool_use"} == {reply.stop for reply in replies}
    assert {1} == {len(reply.content) for reply in replies}
    made = [call for reply in replies for call in calls(reply)]
    assert 40 == len(made) == sum(map(valid, made)) == len({call.id for call in made})
    assert names == {call.name for call in made}


async def test_several_calls_are_each_valid(engine: NativeEngine) -> None:
    replies = await answers(engine, replace(REQUEST, tool_choice=ToolChoice("any")), 30)
    finished = [reply for reply in replies if reply.stop == "tool_use"]
    assert any(len(calls(reply)) > 1 for reply in finished)
    assert all(valid(call) for reply in finished for call in calls(reply))


async def test_no_call_is_made_when_none_may_be(engine: NativeEngine) -> None:
    replies = await answers(engine, replace(REQUEST, tool_choice=ToolChoice("none"), max_tokens=40), 20)
    assert [] == [call for reply in replies for call in calls(reply)]


async def test_an_answer_of_a_schema_is_of_that_schema(engine: NativeEngine) -> None:
    request = replace(REQUEST, tools=(), output_schema=WEATHER.schema)
    replies = await answers(engine, request, 40)
    assert {"end_turn"} == {reply.stop for reply in replies}
    validator = jsonschema_rs.validator_for(dict(WEATHER.schema))
    assert all(validator.is_valid(json.loads(text_of(reply.content))) for reply in replies)


async def test_a_call_cut_at_max_tokens_keeps_what_was_said(engine: NativeEngine) -> None:
    choice = ToolChoice("tool", "get_weather")
    reply = await answer(engine, replace(REQUEST, tool_choice=choice, max_tokens=60))
    assert "max_tokens" == reply.stop
    assert ["get_weather"] == [call.name for call in calls(reply)]


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}, "nowhere"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, "regex"),
    ],
)
async def test_a_schema_that_cannot_be_enforced_is_refused_and_delays_nobody(
    engine: NativeEngine, schema: dict[str, Any], named: str
) -> None:
    tool = Tool("bad", schema=schema, strict=True)
    bad = asyncio.create_task(answer(engine, replace(REQUEST, tools=(tool,), tool_choice=ToolChoice("any"))))
    free = await answer(engine, replace(REQUEST, tools=(), max_tokens=5))
    assert free.usage.output > 0
    with pytest.raises(Invalid, match=named):
        await bad


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}])
async def test_a_schema_that_nothing_can_follow_is_refused(engine: NativeEngine, schema: Any) -> None:
    with pytest.raises(Invalid, match="cannot be enforced"):
        await answer(engine, replace(REQUEST, tools=(), output_schema=schema))


@pytest.mark.parametrize("text", ["<|im_end|>", "a<|im_end|>", "</s>b", "<|im_start|><|im_end|>"])
async def test_a_constant_that_spells_a_control_token_is_written_as_text(engine: NativeEngine, text: str) -> None:
    schema = {
        "type": "object",
        "properties": {text: {"const": text}},
        "required": [text],
        "additionalProperties": False,
    }
    reply = await answer(engine, replace(REQUEST, tools=(), output_schema=schema))
    assert {text: text} == json.loads(text_of(reply.content))
