"""A request in a form that the upstream speaks, and its answer, pass as they are, but for ids and the model's name."""

import re
from typing import Any

import orjson
import pytest

from tests.far_server import Answer, frame, stream, whole
from tests.wire.upstreams.recorded import CHUNKS, COMPLETION, DONE, EVENTS, LAST, WHOLE
from tests.wire.upstreams.served import Fronted, fronted

ASKED: dict[str, Any] = {
    "model": "claude-near",
    "max_tokens": 64,
    "far_field": {"of": ["nobody", "here"]},
    "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "tools": [
        {"name": "look", "input_schema": {"type": "object"}, "far_tool_field": 1},
        {"type": "web_search_20260318", "name": "web_search", "max_uses": 2},
    ],
    "thinking": {"type": "adaptive"},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQB/y=="},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "far_block", "text": "unknown here", "n": 1.50},
                {"type": "tool_use", "id": "toolu_0", "name": "look", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0", "content": "the söa"}]},
    ],
}


def but_for_names(data: bytes) -> bytes:
    """The first id and model of every frame (and of a whole answer) made alike."""
    frames = data.split(b"\n\n")
    alike = [
        re.sub(rb'("(?:id|model)": ?)"(?:msg_|claude-|chatcmpl-|gpt-)[^"]*"', rb'\1"X"', each, count=2)
        for each in frames
    ]
    return b"\n\n".join(alike)


def test_a_message_s_request_goes_out_as_it_was_written() -> None:
    with fronted("anthropic", lambda asked: whole(WHOLE)) as through:
        through.message(ASKED, **{"anthropic-beta": "far-2026-11-01, near"})
        (asked,) = through.far.asked
        assert {**ASKED, "model": "claude-near"} == asked.body
        assert orjson.dumps(ASKED).replace(b" ", b"") == asked.data.replace(b" ", b"")
        assert ("/v1/messages", "sk-far") == (asked.path, asked.headers["x-api-key"])
        assert "far-2026-11-01,near" == asked.headers["anthropic-beta"]
        assert "2023-06-01" == asked.headers["anthropic-version"]


def test_a_whole_message_comes_back_byte_for_byte() -> None:
    with fronted("anthropic", lambda asked: whole(WHOLE)) as through:
        answer = through.message(ASKED)
        assert b'"model": "claude-near"' in answer.content[:40]
        assert re.match(rb'{"model": "claude-near","id": "msg_[0-9a-f]{24}"', answer.content)
        assert but_for_names(WHOLE) == but_for_names(answer.content)


def test_a_streamed_message_comes_back_byte_for_byte() -> None:
    spaced = [
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event).replace(b'":', b'": '))
        for event in EVENTS
    ]
    # cut in pieces that end anywhere
    sent = b"".join(spaced)
    cut = [sent[at : at + 37] for at in range(0, len(sent), 37)]
    with fronted("anthropic", lambda asked: Answer(cut)) as through:
        answer = through.message({**ASKED, "stream": True})
        assert b"claude-near" in answer.content and b"msg_01Far" not in answer.content.partition(b"model_notes")[0]
        assert but_for_names(sent) == but_for_names(answer.content)


CHAT: dict[str, Any] = {
    "model": "gpt-near",
    "far_field": {"of": ["nobody", "here"]},
    "web_search_options": {},
    "messages": [
        {"role": "user", "content": "hi", "far": 1},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
    ],
}


def test_a_chat_s_request_goes_out_as_it_was_written() -> None:
    with fronted("openai", lambda asked: whole(COMPLETION)) as through:
        through.chat(CHAT)
        (asked,) = through.far.asked
        assert {**CHAT, "model": "gpt-near"} == asked.body
        assert ("/chat/completions", "Bearer sk-far") == (asked.path, asked.headers["authorization"])


def test_a_whole_completion_comes_back_byte_for_byte() -> None:
    written = orjson.dumps(COMPLETION, option=orjson.OPT_INDENT_2)
    with fronted("openai", lambda asked: whole(written)) as through:
        answer = through.chat(CHAT)
        assert "gpt-near" == answer.json()["model"]
        assert but_for_names(written) == but_for_names(answer.content)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_streamed_completion_comes_back_byte_for_byte_and_its_usage_to_those_who_want_it(wanted: bool) -> None:
    with fronted("openai", lambda asked: stream(*CHUNKS, LAST, DONE)) as through:
        options = {"stream_options": {"include_usage": True}} if wanted else {}
        answer = through.chat({**CHAT, "stream": True, **options})
        assert {"include_usage": True} == through.far.asked[0].body["stream_options"]
        told = [*CHUNKS, LAST] if wanted else [{n: v for n, v in chunk.items() if n != "usage"} for chunk in CHUNKS]
        assert but_for_names(b"".join(map(frame, told)) + DONE) == but_for_names(answer.content)


def test_a_count_goes_to_the_upstream_too() -> None:
    with fronted("anthropic", lambda asked: whole({"input_tokens": 1234})) as through:
        body = {name: value for name, value in ASKED.items() if name != "max_tokens"}
        answer = through.near.post("/v1/messages/count_tokens", json=body, headers={"anthropic-version": "2023-06-01"})
        assert {"input_tokens": 1234} == answer.json()
        assert ("/v1/messages/count_tokens", body) == (through.far.asked[0].path, through.far.asked[0].body)


def test_what_an_upstream_would_take_is_refused_of_a_model_here() -> None:
    with fronted("anthropic", lambda asked: whole(WHOLE)) as through:
        refused(through)


def refused(through: Fronted) -> None:
    answer = through.message({**ASKED, "model": "fake"})
    assert (400, []) == (answer.status_code, through.far.asked)
    assert "far_block" in answer.json()["error"]["message"]
