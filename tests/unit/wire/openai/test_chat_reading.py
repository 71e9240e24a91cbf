"""Chat Completions' bodies as core values."""

from typing import Any

import orjson
import pytest

from haiga.core.errors import Invalid
from haiga.core.generation import SamplingRequest, TextRequest, ThinkingRequest
from haiga.core.messages import (
    Base64Source,
    CacheMark,
    Document,
    FileSource,
    Grammar,
    Image,
    Message,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.core.ports import ModelCard
from haiga.wire.openai_chat.read import ChatRequest, Form, read_chat
from tests.unit.wire.openai.bodies import CHAT, TOOLS

CARD = ModelCard("m", "M", 0, context=100, max_output=60)
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
LETTERS = {**FREE_TEXT, "properties": {"input": {"type": "string", "pattern": "^(?:[a-z]+)$"}}}
WEATHER_SCHEMA = TOOLS[0]["function"]["parameters"]


def read(**fields: Any) -> ChatRequest:
    return read_chat(orjson.dumps({**ASKED, **fields}))


def test_a_body_that_uses_everything_is_read_into_the_same_values() -> None:
    expected = TextRequest(
        model="m",
        max_tokens=0,
        system=(Text("Be brief."), Text("Be kind.")),
        messages=(
            Message("user", (Text("What is the weather?"),)),
            Message(
                "assistant",
                (
                    Thinking("I look."),
                    ToolUse("c1", "weather", {"city": "Paris"}),
                    ToolUse("c2", "shell", {"input": "date"}),
                ),
            ),
            Message("user", (ToolResult("c2", (Text("Monday"),)), ToolResult("c1", (Text("rain"),)))),
            Message("system", (Text("Now be long."),)),
            Message("assistant", (Text("Rain."), Text("No more."))),
            Message(
                "user",
                (
                    Text("And this?", cache=CacheMark("1h")),
                    Image(Base64Source("", "iVBORw0KGgo="), extra={"detail": "low"}),
                    Image(UrlSource("https://example.org/a.png")),
                    Document(FileSource("file-1")),
                    Document(Base64Source("application/pdf", "JVBERg=="), "a.pdf"),
                ),
            ),
        ),
        tools=(
            Tool("weather", "Tells the weather", WEATHER_SCHEMA, strict=True),
            Tool("shell", "", LETTERS, strict=True, grammar=Grammar("regex", "[a-z]+")),
        ),
        tool_choice=ToolChoice("tool", "weather", parallel=False),
        sampling=SamplingRequest(
            temperature=0.5,
            top_p=0.9,
            frequency_penalty=1.0,
            presence_penalty=-1.0,
            logit_bias={5: -100.0},
            seed=7,
            logprobs=3,
        ),
        stop=("a", "b"),
        thinking=ThinkingRequest("adaptive"),
        output_schema={"type": "object"},
        overflow="stop",
        user="ann",
        prediction="Rain",
        extra={"effort": "low", "verbosity": "low", "unheard_of": {"x": 1}},
    )
    asked = read_chat(orjson.dumps(CHAT))
    assert expected == asked.request
    form = Form(stream=True, include_usage=True, logprobs=True, free_text=frozenset({"shell"}), service_tier=True)
    assert form == asked.form
    assert (50, 2, True, {"a": "b"}) == (asked.max_tokens, asked.n, asked.kept, asked.metadata)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "function": {"name": "weather"}}, ToolChoice("tool", "weather")),
        ({"type": "custom", "custom": {"name": "shell"}}, ToolChoice("tool", "shell")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "weather"}},
                        {"type": "custom", "custom": {"name": "shell"}},
                    ],
                },
            },
            ToolChoice("any", allowed=("weather", "shell")),
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "shell"}}]},
            },
            ToolChoice("auto", allowed=("shell",)),
        ),
    ],
)
def test_every_form_of_tool_choice(choice: object, expected: ToolChoice) -> None:
    assert expected == read(tools=TOOLS, tool_choice=choice).request.tool_choice


@pytest.mark.parametrize("format", [None, {"type": "text"}])
def test_a_custom_tool_takes_free_text(format: object) -> None:
    tools = [{"type": "custom", "custom": {"name": "shell", "description": "d", "format": format}}]
    assert (Tool("shell", "d", FREE_TEXT),) == read(tools=tools).request.tools


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (None, ToolChoice(parallel=False)),
        ("none", ToolChoice("none", parallel=False)),
        ("auto", ToolChoice("auto", parallel=False)),
        ({"name": "f"}, ToolChoice("tool", "f", parallel=False)),
    ],
)
def test_older_functions_give_tools_and_a_choice_of_one_call(call: object, expected: ToolChoice) -> None:
    asked = read(functions=[{"name": "f", "description": "d"}], function_call=call)
    assert (Tool("f", "d", {"type": "object", "properties": {}}),) == asked.request.tools
    assert expected == asked.request.tool_choice


def test_older_function_messages_answer_the_call_before_them() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "done"},
    ]
    expected = (
        Message("user", (Text("hi"),)),
        Message("assistant", (ToolUse("call_1", "f", {}),)),
        Message("user", (ToolResult("call_1", (Text("done"),)),)),
    )
    assert expected == read(messages=messages).request.messages


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "s"}}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "array"}}}, {"type": "array"}),
    ],
)
def test_response_formats(format: object, expected: object) -> None:
    assert expected == read(response_format=format).request.output_schema


@pytest.mark.parametrize(("effort", "mode"), [(None, "adaptive"), ("none", "disabled"), ("high", "adaptive")])
def test_reasoning_effort(effort: str | None, mode: str) -> None:
    assert mode == read(reasoning_effort=effort).request.thinking.mode


def test_system_messages_alone_stay_messages() -> None:
    request = read(messages=[{"role": "system", "content": "hi"}]).request
    assert ((), (Message("system", (Text("hi"),)),)) == (request.system, request.messages)


def test_arguments_that_are_no_json_object_are_kept_as_they_are() -> None:
    calls = [{"id": f"c{i}", "function": {"name": "f", "arguments": text}} for i, text in enumerate(['{"a', "[1]", ""])]
    answers = [{"role": "tool", "tool_call_id": f"c{i}", "content": ""} for i in range(3)]
    request = read(messages=[{"role": "assistant", "tool_calls": calls}, *answers]).request
    kept = [block.input for block in request.messages[0].content if isinstance(block, ToolUse)]
    assert [{"_partial_json": '{"a'}, {"_partial_json": "[1]"}, {}] == kept


def test_reasoning_details_come_back_signed() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "x"},
        {"type": "reasoning.unheard_of"},
    ]
    message = {"role": "assistant", "content": "a", "reasoning": "Hm.", "reasoning_details": details}
    content = read(messages=[message]).request.messages[0].content
    assert (Thinking("Hm.", "s"), "RedactedThinking", Text("a")) == (content[0], type(content[1]).__name__, content[2])


def test_several_choices_have_seeds_of_their_own() -> None:
    assert [7, 8, 9] == [choice.sampling.seed for choice in read(n=3, seed=7).choices(CARD)]
    assert [None, None] == [choice.sampling.seed for choice in read(n=2).choices(CARD)]
    assert [2**63 - 1, 0] == [choice.sampling.seed for choice in read(n=2, seed=-1).choices(CARD)]


def test_without_a_limit_the_model_gives_all_it_can() -> None:
    assert [60] == [choice.max_tokens for choice in read().choices(CARD)]
    assert [5] == [choice.max_tokens for choice in read(max_tokens=5, max_completion_tokens=5).choices(CARD)]
    with pytest.raises(Invalid, match="supports at most 60 completion tokens"):
        read(max_completion_tokens=61).choices(CARD)


@pytest.mark.parametrize(
    ("core", "field"),
    [
        ("messages.0.content.0", "messages[2].content[0]"),
        ("messages.1.content.2", "messages[3].tool_calls[1]"),
        ("messages.2.content.1.content.0", "messages[5].content[0]"),
        ("messages.5.content.1.source", "messages[8].content[1].source"),
        ("tools.1.name", "tools[1].name"),
        ("tools.0.input_schema.properties.a", "tools[0].function.parameters.properties.a"),
        ("tools.1.input_schema.properties.input", "tools[1].custom.format.grammar.definition"),
        ("output_config.format.schema", "response_format.json_schema.schema"),
        ("messages.9.content.0", "messages[9].content[0]"),
        ("stop", "stop"),
    ],
)
def test_a_later_complaint_names_the_callers_own_field(core: str, field: str) -> None:
    assert field == read_chat(orjson.dumps(CHAT)).placed(Invalid("no", field=core)).field
