"""Chat Completions' answers: golden bodies, and streams that add up to the whole."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import Failed, Limited
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Choice,
    Event,
    Finished,
    InputDelta,
    Reply,
    Routed,
    fold,
)
from haiga.core.messages import RedactedThinking, ToolUse
from haiga.core.records import Price
from haiga.wire.openai_chat.read import Form
from haiga.wire.openai_chat.stream import ChatStream
from haiga.wire.openai_chat.write import argument_text, free_text, write_chat
from haiga.wire.openrouter.stream import RouterStream
from haiga.wire.openrouter.write import write_router_chat
from tests.unit.wire.events import USAGE, answer
from tests.unit.wire.openai.answers import answers, chunks, folded, interleaved

NAMED = {"id": "chatcmpl-1", "model": "m", "created": 5}
FREE = frozenset({"shell"})
EVENTS = answer("Hi")


def test_a_whole_answer() -> None:
    body = orjson.loads(write_chat([fold(EVENTS)], Form(free_text=FREE, service_tier=True), **NAMED))
    assert {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "annotations": [],
                    "reasoning_content": "Hm.",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}},
                        {"id": "c2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 7,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 5,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "system_fingerprint": None,
        "service_tier": "default",
    } == body


def test_a_stream_frame_by_frame() -> None:
    writer = ChatStream(Form(stream=True, include_usage=True, free_text=FREE), **NAMED)
    frames = [writer.write(Choice(0, event)) for event in EVENTS]
    assert b": prefill 5/10\n\n" == frames[1]
    deltas = [chunk["choices"][0]["delta"] for chunk in map(_data, frames) if chunk]
    assert [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "Hm."},
        {"content": "Hi"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "type": "custom", "custom": {"name": "shell", "input": ""}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "ls"}}]},
        {},
    ] == deltas
    assert "tool_calls" == _data(frames[-1])["choices"][0]["finish_reason"]
    usage, done, _ = writer.write(Finished("end_turn", USAGE)).split(b"\n\n")
    assert ([], 17, b"data: [DONE]") == (_data(usage)["choices"], _data(usage)["usage"]["total_tokens"], done)


def _data(frame: bytes) -> Any:
    return orjson.loads(frame.removeprefix(b"data: ")) if frame.startswith(b"data:") else None


def test_an_error_in_a_stream_is_the_error_object_alone() -> None:
    frame = ChatStream(Form(stream=True), **NAMED).error(Failed("burnt down"), "req_1")
    expected = {"message": "burnt down", "type": "server_error", "param": None, "code": None}
    assert {"error": expected} == _data(frame)
    chunk = _data(_router(Form(stream=True)).error(Limited("slow", retry_after=1), "req_1").split(b"\n\n")[0])
    assert ({"code": 429, "message": "slow"}, "error") == (chunk["error"], chunk["choices"][0]["finish_reason"])


def test_a_call_cut_short_comes_out_as_the_text_it_is() -> None:
    cut = fold(
        [BlockStarted(0, ToolUse("c", "f", {})), InputDelta(0, '{"a'), BlockStopped(0), Finished("max_tokens", USAGE)]
    )
    body = orjson.loads(write_chat([cut], Form(), **NAMED))["choices"][0]
    assert ('{"a', "length") == (body["message"]["tool_calls"][0]["function"]["arguments"], body["finish_reason"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input": "ls"}, "ls"),
        ({"_partial_json": '{"input": "ls \\n'}, "ls \n"),
        ({"_partial_json": '{"input": "ls \\u00'}, "ls "),
        ({"_partial_json": '{"input": "ls \\'}, "ls "),
        ({"_partial_json": '{"inp'}, '{"inp'),
        ({"other": 1}, '{"other":1}'),
    ],
)
def test_free_text_cut_short_is_given_as_far_as_it_goes(arguments: dict[str, Any], text: str) -> None:
    assert text == free_text(arguments)


def test_a_lone_surrogate_in_arguments_does_not_break_the_answer() -> None:
    assert '{"a":"?"}' == argument_text({"a": "\ud800"})
    reply = Reply((ToolUse("c", "f", {"a": "\ud800"}),), "tool_use", USAGE)
    assert b"tool_calls" in write_chat([reply], Form(), **NAMED)


FORMS = st.builds(
    lambda usage, logprobs, tools: Form(True, usage, logprobs, **tools),
    st.booleans(),
    st.booleans(),
    st.sampled_from([{}, {"functions": True}, {"free_text": FREE}]),
)
STREAMS = st.lists(answers(), min_size=1, max_size=2)


def _router(form: Form, reasoning: bool = True) -> RouterStream:
    return RouterStream(form, price=lambda name: Price(), reasoning=reasoning, **NAMED)


def _router_whole(replies: list[Reply], form: Form, reasoning: bool = True) -> bytes:
    routed = Routed("m")
    return write_router_chat(replies, form, id="x", routed=routed, created=5, price=Price(), reasoning=reasoning)


def _comparable(message: dict[str, Any]) -> dict[str, Any]:
    """What the client has of a message: no empty fields, no places in lists, arguments as values."""
    shown = {key: value for key, value in message.items() if value and key != "annotations"}
    for call in shown.get("tool_calls", ()):
        call.pop("index", None)
        if "function" in call:
            call["function"]["arguments"] = orjson.loads(call["function"]["arguments"])
    if "function_call" in shown:
        shown["function_call"]["arguments"] = orjson.loads(shown["function_call"]["arguments"])
    return shown


@settings(max_examples=60, deadline=None)
@given(st.data(), STREAMS, FORMS)
def test_a_stream_read_back_is_the_whole_answer(data: st.DataObject, streams: list[list[Event]], form: Form) -> None:
    writer = ChatStream(form, **NAMED)
    read = chunks(b"".join(writer.write(item) for item in data.draw(interleaved(streams))))
    whole = orjson.loads(write_chat([fold(stream) for stream in streams], form, **NAMED))
    streamed = folded(read)
    for choice in whole["choices"]:
        answer = streamed[choice["index"]]
        assert _comparable(choice["message"]) == _comparable(answer["message"])
        assert ((choice["logprobs"] or {"content": []})["content"], choice["finish_reason"]) == (
            answer["logprobs"],
            answer["finish_reason"],
        )
    if form.include_usage:
        assert whole["usage"] == read[-1]["usage"]


@settings(max_examples=60, deadline=None)
@given(st.data(), STREAMS, FORMS, st.booleans())
def test_openrouters_stream_read_back_is_its_whole_answer(
    data: st.DataObject, streams: list[list[Event]], form: Form, reasoning: bool
) -> None:
    writer = _router(form, reasoning)
    read = chunks(b"".join(writer.write(item) for item in data.draw(interleaved(streams))))
    replies = [fold(stream) for stream in streams]
    whole = orjson.loads(_router_whole(replies, form, reasoning))
    streamed = folded(read)
    for choice in whole["choices"]:
        answer = streamed[choice["index"]]
        expected, actual = _comparable(choice["message"]), _comparable(answer["message"])
        assert _thoughts(expected) == _thoughts(actual)
        assert (expected, choice["finish_reason"]) == (actual, answer["finish_reason"])
    assert whole["usage"] == read[-1]["usage"]


def _thoughts(message: dict[str, Any]) -> list[str]:
    """The texts of the reasoning details, taken out of the message; an empty one is not streamed."""
    return [detail["text"] for detail in message.pop("reasoning_details", ()) if detail["text"]]


def test_encrypted_reasoning_is_passed_on_by_openrouter() -> None:
    events: list[Event] = [BlockStarted(0, RedactedThinking("x")), BlockStopped(0), Finished("end_turn", USAGE)]
    detail = {"type": "reasoning.encrypted", "data": "x", "format": "unknown", "index": 0}
    writer = _router(Form(stream=True))
    frames = [_data(frame) for event in events if (frame := writer.write(Choice(0, event)))]
    assert [detail] == frames[0]["choices"][0]["delta"]["reasoning_details"]
    whole = _router_whole([fold(events)], Form())
    assert [detail] == orjson.loads(whole)["choices"][0]["message"]["reasoning_details"]
