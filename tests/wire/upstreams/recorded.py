"""What Anthropic's and OpenAI's servers say, in their own shapes: a stream and a whole answer of each, with what this
server has no name for among it."""

from typing import Any

import orjson

USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 5,
    "cache_read_input_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
    "output_tokens": 1,
    "service_tier": "standard",
    "inference_geo": "eu",
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Where to?", "signature": "EqQB/x=="},
    {"type": "text", "text": "Looking at the söa.", "citations": None},
    {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "söa"},
        "caller": {"type": "direct"},
    },
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "the söa", "deep": 1.50}},
]
MESSAGE: dict[str, Any] = {
    "model": "claude-far-20261101",
    "id": "msg_01Far",
    "type": "message",
    "role": "assistant",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "container": {"id": "container_1", "expires_at": "2026-11-22T18:00:00Z"},
    "usage": {**USAGE, "output_tokens": 40, "server_tool_use": {"web_search_requests": 1}},
    "model_notes": {"model": "claude-far-20261101", "id": "msg_01Far"},
}
# as servers write it: spaces, escapes and an order that no encoder of ours would make
WHOLE = orjson.dumps(MESSAGE).replace(b"\xc3\xb6", b"\\u00f6").replace(b'":', b'": ')


def _delta(index: int, kind: str, **said: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}


EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "container": None, "usage": USAGE},
    },
    {"type": "ping"},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    _delta(0, "thinking_delta", thinking="Where "),
    _delta(0, "thinking_delta", thinking="to?"),
    _delta(0, "signature_delta", signature="EqQB/x=="),
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "", "citations": None}},
    _delta(1, "text_delta", text="Looking at "),
    _delta(1, "citations_delta", citation={"type": "char_location", "cited_text": "x"}),
    _delta(1, "text_delta", text="the söa."),
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {**BLOCKS[2], "input": {}}},
    _delta(2, "input_json_delta", partial_json='{"query": "söa"}'),
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3, "content_block": BLOCKS[3]},
    {"type": "content_block_stop", "index": 3},
    {"type": "content_block_start", "index": 4, "content_block": {**BLOCKS[4], "input": {}}},
    _delta(4, "input_json_delta", partial_json=""),
    _delta(4, "input_json_delta", partial_json='{"at": "the'),
    _delta(4, "input_json_delta", partial_json=' söa", "deep": 1.50}'),
    {"type": "content_block_stop", "index": 4},
    {"type": "far_news", "of": "nobody here"},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None, "container": MESSAGE["container"]},
        "usage": {"output_tokens": 40, "server_tool_use": {"web_search_requests": 1}},
    },
    {"type": "message_stop"},
]
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-Far",
    "object": "chat.completion",
    "created": 1795305600,
    "model": "gpt-far-2026-11-01",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Looking.",
                "refusal": None,
                "annotations": [],
                "reasoning_content": "Where to?",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at": "the söa"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ],
                "far_news": {"of": "nobody here"},
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_far",
}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    head = {name: COMPLETION[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**head, "object": "chat.completion.chunk", "choices": [choice], "usage": None, "obfuscation": "x7"}


def _call(index: int, **said: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **said}]}


CHUNKS: list[dict[str, Any]] = [
    _chunk({"role": "assistant", "content": "", "refusal": None}),
    _chunk({"reasoning_content": "Where "}),
    _chunk({"reasoning_content": "to?"}),
    _chunk({"content": "Look"}),
    _chunk({"content": "ing."}),
    _chunk(_call(0, id="call_1", type="function", function={"name": "look", "arguments": ""})),
    _chunk(_call(0, function={"arguments": '{"at": "the'})),
    _chunk(_call(1, id="call_2", type="function", function={"name": "look", "arguments": ""})),
    _chunk(_call(0, function={"arguments": ' söa"}'})),
    _chunk(_call(1, function={"arguments": "{}"})),
    _chunk({}, "tool_calls"),
]
LAST: dict[str, Any] = {**_chunk({}), "choices": [], "usage": COMPLETION["usage"]}
DONE = b"data: [DONE]\n\n"
