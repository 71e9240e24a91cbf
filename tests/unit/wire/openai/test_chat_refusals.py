"""What Chat Completions refuses: message, param and code, in the API's own words."""

from typing import Any

import orjson
import pytest

from haiga.core.errors import HaigaError, Unsupported
from haiga.wire.openai_chat.read import read_chat
from haiga.wire.openai_errors import envelope
from tests.unit.wire.openai.bodies import TOOLS

USER = {"role": "user", "content": "hi"}
CALLING = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "done"}


def refusal(**fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [USER], **fields}
    with pytest.raises(HaigaError) as raised:
        read_chat(orjson.dumps({name: value for name, value in body.items() if value is not ...}))
    error: dict[str, Any] = envelope(raised.value)["error"]
    assert "invalid_request_error" == error["type"]
    return error


@pytest.mark.parametrize(
    ("fields", "param", "code", "words"),
    [
        ({"messages": ...}, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."),
        ({"model": ...}, "model", "missing_required_parameter", "Missing required parameter: 'model'."),
        ({"messages": []}, "messages", "empty_array", "Expected an array with minimum length 1"),
        ({"messages": "hi"}, "messages", "invalid_type", "expected an array, but got a string instead."),
        ({"temperature": "hot"}, "temperature", "invalid_type", "expected a decimal, but got a string instead."),
        ({"temperature": 3}, "temperature", "decimal_above_max_value", "Expected a value <= 2, but got 3 instead."),
        ({"top_p": -0.5}, "top_p", "decimal_below_min_value", "Expected a value >= 0, but got -0.5 instead."),
        ({"n": 0}, "n", "integer_below_min_value", "Expected a value >= 1, but got 0 instead."),
        ({"n": True}, "n", "invalid_type", "expected an integer, but got a boolean instead."),
        ({"stop": list("abcde")}, "stop", "array_above_max_length", "maximum length 4, but got an array with length 5"),
        ({"stop": ["a", ""]}, "stop[1]", "empty_string", "minimum length 1"),
        ({"logit_bias": {"a": 1}}, "logit_bias", "invalid_value", "non-negative integers"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "object_above_max_length", "maximum length 16"),
        ({"top_logprobs": 2}, "top_logprobs", None, "only allowed when 'logprobs' is enabled"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", None, "at the same time"),
        ({"stream_options": {}}, "stream_options", None, "only allowed when 'stream' is enabled"),
        ({"reasoning_effort": "some"}, "reasoning_effort", "invalid_value", "'none', 'minimal', 'low'"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "'xml'"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter", ""),
    ],
)
def test_generation_fields(fields: dict[str, Any], param: str, code: str | None, words: str) -> None:
    error = refusal(**fields)
    assert (param, code) == (error["param"], error["code"])
    assert words in error["message"]


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        ([{"content": "hi"}], "messages[0].role", "missing_required_parameter"),
        ([{"role": "judge", "content": "hi"}], "messages[0].role", "invalid_value"),
        ([USER, {"role": "user"}], "messages[1].content", "missing_required_parameter"),
        ([{"role": "user", "content": 5}], "messages[0].content", "invalid_type"),
        (
            [{"role": "user", "content": [{"type": "text"}]}],
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        ([{"role": "user", "content": [{"text": "hi"}]}], "messages[0].content[0].type", "missing_required_parameter"),
        ([{"role": "user", "content": [{"type": "video"}]}], "messages[0].content[0].type", "invalid_value"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
            "messages[0].content[0].image_url.url",
            "missing_required_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}],
            "messages[0].content[0].image_url.url",
            "invalid_value",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,raw"}}]}],
            "messages[0].content[0].image_url.url",
            "invalid_value",
        ),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
            "messages[0].content[0]",
            "unsupported_content_type",
        ),
        ([{"role": "assistant"}], "messages[0].content", "invalid_type"),
        ([USER, ANSWER], "messages[1].role", None),
        ([USER, CALLING, USER], "messages[1].role", None),
        ([USER, CALLING], "messages[1].role", None),
        ([USER, CALLING, ANSWER, ANSWER], "messages[3].role", None),
    ],
)
def test_messages(messages: list[Any], param: str, code: str | None) -> None:
    error = refusal(messages=messages)
    assert (param, code) == (error["param"], error["code"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "some"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        (
            {
                "tools": TOOLS,
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "x"}}]},
                },
            },
            "tool_choice.allowed_tools.tools[0]",
        ),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
        ({"functions": [{"name": "f"}], "tools": TOOLS}, "functions"),
    ],
)
def test_tools(fields: dict[str, Any], param: str) -> None:
    assert param == refusal(**fields)["param"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"audio": {"voice": "a", "format": "wav"}}, "audio", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities[1]", "unsupported_value"),
        ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
    ],
)
def test_known_features_that_are_not_offered_are_refused_by_name(fields: dict[str, Any], param: str, code: str) -> None:
    error = refusal(**fields)
    assert (param, code) == (error["param"], error["code"])


def test_a_judgement_beside_the_answer_stops_nothing() -> None:
    wanted = {"model": "omni", "policy": {"input": {"mode": "score"}, "output": {"mode": "block"}}}
    body = orjson.dumps({"model": "m", "messages": [USER], "moderation": wanted})
    with pytest.raises(Unsupported, match="haiga-policy") as refused:
        read_chat(body)
    assert "moderation.policy.output.mode" == refused.value.field
    judged = read_chat(body.replace(b"block", b"score")).judged
    assert judged and "omni" == judged.classifier


@pytest.mark.parametrize(
    "fields",
    [
        {"modalities": ["text"], "prompt_cache_key": "k", "safety_identifier": "s", "prompt_cache_options": {}},
        {"tools": [], "tool_choice": "auto"},
        {"tool_choice": "none", "parallel_tool_calls": True},
        {"stop": None, "n": None, "temperature": None, "logit_bias": None, "metadata": None, "seed": None},
        {"messages": [{"role": "user", "content": ""}]},
        {"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1},
    ],
)
def test_what_has_no_effect_is_taken(fields: dict[str, Any]) -> None:
    read_chat(orjson.dumps({"model": "m", "messages": [USER], **fields}))
