"""Core values become the Messages API's answers: whole messages and streams that add up to the same."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.edits import Cleared
from haiga.core.errors import (
    Busy,
    Cancelled,
    Dead,
    Denied,
    Failed,
    HaigaError,
    Invalid,
    Limited,
    NotFound,
    TooLarge,
    Unsupported,
)
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    Progress,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    Usage,
    fold,
)
from haiga.core.messages import RedactedThinking, Text, Thinking, ToolUse
from haiga.wire.anthropic import errors
from haiga.wire.anthropic.answers import CountAnswer, ErrorAnswer, MessageAnswer
from haiga.wire.anthropic.messages_out import MessageStream, write_count, write_message
from haiga.wire.sse import comment, frame

USED = Usage(input=3, creation_5m=16, creation_1h=32, cache_read=64, output=9, thinking=2)
ANSWER: tuple[Event, ...] = (
    Started(Usage(input=3, creation_5m=16, creation_1h=32, cache_read=64)),
    Progress(50, 115),
    BlockStarted(0, Thinking("")),
    ThinkingDelta(0, "Well"),
    SignatureDelta(0, "sig"),
    BlockStopped(0),
    BlockStarted(1, Text("")),
    TextDelta(1, "Héllo"),
    TextDelta(1, " you"),
    BlockStopped(1),
    BlockStarted(2, ToolUse("toolu_1", "look", {})),
    InputDelta(2, '{"at": '),
    InputDelta(2, '"it"}'),
    BlockStopped(2),
    Finished("tool_use", USED),
)
USAGE = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 48,
    "cache_read_input_tokens": 64,
    "output_tokens": 9,
    "output_tokens_details": {"thinking_tokens": 2},
}
CREATION = {"ephemeral_5m_input_tokens": 16, "ephemeral_1h_input_tokens": 32}


def frames(raw: bytes) -> list[dict[str, Any]]:
    """The data of each event, whose name must be its type."""
    read = []
    for event in raw.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        read.append(json.loads(data.removeprefix("data: ")))
        assert f"event: {read[-1]['type']}" == name
    return read


def stream(events: Sequence[Event]) -> list[dict[str, Any]]:
    writer = MessageStream("msg_1", "m")
    return frames(b"".join(writer.write(event) for event in events))


def message(events: Sequence[Event]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(write_message(fold(events), id="msg_1", model="m"))
    return answer


def gathered(data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A stream put together as the official SDKs do."""
    whole: dict[str, Any] = {}
    for event in data:
        match event["type"]:
            case "message_start":
                whole = event["message"]
            case "content_block_start":
                whole["content"].append(dict(event["content_block"]))
                arguments = ""
            case "content_block_delta":
                block, delta = whole["content"][event["index"]], event["delta"]
                if delta["type"] == "input_json_delta":
                    arguments += delta["partial_json"]
                    continue
                name = delta["type"].removesuffix("_delta")
                block[name] += delta[name]
            case "content_block_stop":
                if whole["content"][-1]["type"] == "tool_use" and arguments:
                    whole["content"][-1]["input"] = json.loads(arguments)
            case "message_delta":
                whole |= event["delta"]
                whole["usage"] |= event["usage"]
    return whole


def test_a_whole_message_has_every_field_of_the_api():
    expected = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "Well", "signature": "sig"},
            {"type": "text", "text": "Héllo you"},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": USAGE | {"cache_creation": CREATION, "service_tier": "standard"},
    }
    assert expected == message(ANSWER)
    assert MessageAnswer.model_validate(message(ANSWER))


def test_a_stream_has_the_exact_order_of_the_api():
    started = USAGE | {"output_tokens": 0, "output_tokens_details": {"thinking_tokens": 0}}
    delta = "content_block_delta"
    expected = [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "container": None,
                "usage": started | {"cache_creation": CREATION, "service_tier": "standard"},
            },
        },
        {"type": "ping"},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": delta, "index": 0, "delta": {"type": "thinking_delta", "thinking": "Well"}},
        {"type": delta, "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": delta, "index": 1, "delta": {"type": "text_delta", "text": "Héllo"}},
        {"type": delta, "index": 1, "delta": {"type": "text_delta", "text": " you"}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
        },
        {"type": delta, "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": delta, "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"at": '}},
        {"type": delta, "index": 2, "delta": {"type": "input_json_delta", "partial_json": '"it"}'}},
        {"type": "content_block_stop", "index": 2},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None, "container": None},
            "usage": USAGE,
        },
        {"type": "message_stop"},
    ]
    assert expected == stream(ANSWER)


def test_a_stop_sequence_is_named_with_its_reason():
    end = Finished("stop_sequence", USED, "END")
    assert ("stop_sequence", "END") == tuple(message([end])[key] for key in ("stop_reason", "stop_sequence"))
    assert ("stop_sequence", "END") == tuple(stream([end])[0]["delta"][key] for key in ("stop_reason", "stop_sequence"))


def test_a_request_for_context_edits_is_told_which_were_made():
    made = (Cleared("thinking_turns", 1, 7), Cleared("tool_uses", 2, 30))
    told = [
        {"type": "clear_thinking_20251015", "cleared_thinking_turns": 1, "cleared_input_tokens": 7},
        {"type": "clear_tool_uses_20250919", "cleared_tool_uses": 2, "cleared_input_tokens": 30},
    ]
    for cleared, expected in (((), []), (made, told)):
        answer = [*ANSWER[:-1], Finished("end_turn", USED, cleared=cleared)]
        assert {"applied_edits": expected} == message(answer)["context_management"]
        assert {"applied_edits": expected} == stream(answer)[-2]["context_management"]
        assert MessageAnswer.model_validate(message(answer))
    assert "context_management" not in message(ANSWER)


TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=4)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Any answer that a model can give."""
    events: list[Event] = [Started(USED)]
    for index, kind in enumerate(
        draw(st.lists(st.sampled_from(["text", "thinking", "tool_use", "redacted"]), max_size=4))
    ):
        pieces = draw(TEXTS)
        match kind:
            case "text":
                events += [BlockStarted(index, Text("")), *(TextDelta(index, piece) for piece in pieces)]
            case "thinking":
                deltas = [ThinkingDelta(index, piece) for piece in pieces]
                events += [BlockStarted(index, Thinking("")), *deltas, SignatureDelta(index, "s")]
            case "tool_use":
                arguments = json.dumps({"pieces": pieces})
                at = draw(st.integers(0, len(arguments)))
                chopped = [InputDelta(index, part) for part in (arguments[:at], arguments[at:])]
                events += [BlockStarted(index, ToolUse(f"toolu_{index}", "f", {})), *chopped]
            case "redacted":
                events.append(BlockStarted(index, RedactedThinking("d")))
        events.append(BlockStopped(index))
    return [*events, Finished("end_turn", USED)]


@given(answers())
def test_a_stream_adds_up_to_the_whole_message(events: list[Event]):
    assert message(events) == gathered(stream(events))


# --- failures ---


def test_an_error_in_a_stream_closes_the_open_block_first():
    writer = MessageStream("msg_1", "m")
    for event in ANSWER[:8]:
        writer.write(event)
    expected = [
        {"type": "content_block_stop", "index": 1},
        {"type": "error", "error": {"type": "overloaded_error", "message": "full"}, "request_id": "req_1"},
    ]
    assert expected == frames(writer.error(Busy("full"), "req_1"))


def test_an_error_between_blocks_closes_nothing():
    writer = MessageStream("msg_1", "m")
    for event in ANSWER[:6]:
        writer.write(event)
    assert ["error"] == [data["type"] for data in frames(writer.error(Failed("x"), "req_1"))]


def test_silence_is_filled_with_a_comment_until_the_message_has_started_and_pings_after():
    writer = MessageStream("msg_1", "m")
    assert writer.idle().startswith(b": ")
    writer.write(ANSWER[0])
    assert b'event: ping\ndata: {"type":"ping"}\n\n' == writer.idle()


@pytest.mark.parametrize(
    ("error", "status", "kind", "headers"),
    [
        (Invalid("bad", field="a.b"), 400, "invalid_request_error", {}),
        (Unsupported("no"), 400, "invalid_request_error", {}),
        (Denied("who", unauthenticated=True), 401, "authentication_error", {}),
        (Denied("no"), 403, "permission_error", {}),
        (NotFound("model: x"), 404, "not_found_error", {}),
        (TooLarge("big"), 413, "request_too_large", {}),
        (Limited("slow", retry_after=1.2), 429, "rate_limit_error", {"retry-after": "2"}),
        (Cancelled("gone"), 499, "api_error", {}),
        (Failed("oops"), 500, "api_error", {}),
        (Dead("restarting"), 500, "api_error", {"x-should-retry": "true"}),
        (Busy("full", retry_after=0.1), 529, "overloaded_error", {"retry-after": "1"}),
    ],
)
def test_every_core_error_has_its_status_type_and_headers(
    error: HaigaError, status: int, kind: str, headers: dict[str, str]
):
    reply = errors.write_error(error, "req_1")
    expected = {"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": "req_1"}
    assert (status, expected, headers) == (reply.status, json.loads(reply.body), reply.headers)
    assert ErrorAnswer.model_validate_json(reply.body)


def test_an_errors_code_is_told_in_its_details():
    reply = errors.write_error(Unsupported("no threads", code="thread_unsupported_request"), "req_1")
    assert {"error_code": "thread_unsupported_request"} == json.loads(reply.body)["error"]["details"]


def test_a_count_is_one_number():
    assert CountAnswer(input_tokens=7) == CountAnswer.model_validate_json(write_count(7))
    assert {"input_tokens": 7, "context_management": {"original_input_tokens": 9}} == json.loads(write_count(7, 9))


def test_a_frame_is_named_after_its_type_and_never_breaks_its_line():
    assert b'event: x\ndata: {"type":"x","text":"a\\n\\nb"}\n\n' == frame({"type": "x", "text": "a\n\nb"})
    assert b": a b\n\n" == comment("a\nb")
