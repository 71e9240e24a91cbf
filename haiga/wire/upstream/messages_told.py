"""Answers of a Messages API as core events: its server-sent events, or a whole message.

Rule: the order that core/generation draws holds whatever arrives: what makes no sense is Failed, never passed on.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

import orjson

from haiga.core.errors import Failed
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    Quoted,
    Reply,
    Served,
    SignatureDelta,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
    replay,
)
from haiga.core.messages import (
    Block,
    Opaque,
    RedactedThinking,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolUse,
)
from haiga.wire.upstream.errors import told_error
from haiga.wire.upstream.reading import count, read_json

STOPS = frozenset(get_args(StopReason))
KIND = re.compile(r"\w+")


class MessageReader:
    """One stream. `by` is who answers; with a form in it, the events are quoted as well."""

    def __init__(self, by: Served) -> None:
        self._by = by
        self._begun = False
        self._open: BlockStarted | None = None
        self._next = 0
        self._usage: dict[str, Any] = {}
        self._stop: StopReason = "end_turn"
        self._sequence: str | None = None
        self.ended = False

    def read(self, data: bytes) -> Iterator[Event]:
        """What the data of one server-sent event means. Raises Failed for what cannot be, and what an error says."""
        said = read_json(data)
        kind = str(said.get("type"))
        if kind == "error":
            raise told_error(said, None, {}, self._by.provider)
        if self.ended or not KIND.fullmatch(kind) or not (self._begun or kind in ("message_start", "ping")):
            raise Failed(f"{self._by.provider} sent an event out of order: {kind[:40]}")
        if not self._begun and kind == "ping":
            return
        last = [*self._meant(kind, said)]
        yield from (event for event in last if not isinstance(event, Finished))
        if self._by.form:
            yield Quoted("messages", data if b"\n" not in data else orjson.dumps(said))
        yield from (event for event in last if isinstance(event, Finished))

    def finish(self) -> Iterator[Event]:
        """The end of the stream. Raises Failed when the answer has not come to one."""
        if not self.ended:
            raise Failed(f"{self._by.provider} broke off its answer", code="upstream_failed")
        return iter(())

    def _meant(self, kind: str, said: Mapping[str, Any]) -> Iterator[Event]:
        match kind:
            case "message_start":
                self._begun = True
                self._usage |= _mapping(_mapping(said.get("message")).get("usage"))
                yield Started(replace(read_usage(self._usage), output=0), self._by)
            case "content_block_start":
                yield from self._close()
                self._open = BlockStarted(self._next, read_block(_mapping(said.get("content_block"))))
                self._next += 1
                yield self._open
            case "content_block_delta":
                yield from self._grown(_mapping(said.get("delta")))
            case "content_block_stop":
                yield from self._close()
            case "message_delta":
                self._end(said)
            case "message_stop":
                yield from self._close()
                self.ended = True
                yield Finished(self._stop, read_usage(self._usage), self._sequence)

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            yield BlockStopped(self._open.index)
            self._open = None

    def _end(self, said: Mapping[str, Any]) -> None:
        delta = _mapping(said.get("delta"))
        self._usage |= {name: value for name, value in _mapping(said.get("usage")).items() if value is not None}
        self._stop = read_stop(delta.get("stop_reason"))
        self._sequence = _text(delta.get("stop_sequence")) or None

    def _grown(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        """Deltas of kinds that are not known here change nothing but what is quoted."""
        if self._open is None:
            raise Failed(f"{self._by.provider} sent a delta of no block")
        at, block = self._open.index, self._open.block
        match delta.get("type"), block:
            case "text_delta", Text():
                yield TextDelta(at, _text(delta.get("text")))
            case "thinking_delta", Thinking():
                yield ThinkingDelta(at, _text(delta.get("thinking")))
            case "signature_delta", Thinking():
                yield SignatureDelta(at, _text(delta.get("signature")))
            case "input_json_delta", ToolUse() | ServerToolUse():
                if piece := _text(delta.get("partial_json")):
                    yield InputDelta(at, piece)


def read_whole(data: bytes, by: Served) -> Iterator[Event]:
    """The events of a whole message. Raises Failed for what is none."""
    said = read_json(data)
    if said.get("type") != "message" or not isinstance(said.get("content"), list):
        raise Failed(f"{by.provider} answered with something else than a message")
    content = tuple(read_block(_mapping(block)) for block in said["content"])
    stop, usage = read_stop(said.get("stop_reason")), read_usage(_mapping(said.get("usage")))
    reply = Reply(content, stop, usage, _text(said.get("stop_sequence")) or None)
    *events, end = replay(reply)
    yield Started(replace(usage, output=0, thinking=0), by)
    yield from events[1:]
    if by.form:
        yield Quoted("messages", data, whole=True)
    yield end


def read_block(said: Mapping[str, Any]) -> Block:
    """A block of an answer, or the empty shape of one that begins; fields that are not known here are kept."""
    extra = {name: value for name, value in said.items() if name not in KNOWN.get(str(said.get("type")), ("type",))}
    match said.get("type"):
        case "text":
            cited = said.get("citations")
            return Text(_text(said.get("text")), tuple(cited) if isinstance(cited, list) else (), extra=extra)
        case "thinking":
            return Thinking(_text(said.get("thinking")), _text(said.get("signature")), extra)
        case "redacted_thinking":
            return RedactedThinking(_text(said.get("data")), extra)
        case "tool_use":
            return ToolUse(_text(said.get("id")), _text(said.get("name")), _mapping(said.get("input")), extra=extra)
        case "mcp_tool_use":
            named = (_text(said.get("id")), _text(said.get("server_name")), _text(said.get("name")))
            return ServerToolUse(*named, _mapping(said.get("input")), extra=extra)
        case "mcp_tool_result":
            parts = said.get("content") or ()
            texts = tuple(Text(_text(part.get("text"))) for part in parts if isinstance(part, dict))
            return ServerToolResult(_text(said.get("tool_use_id")), texts, bool(said.get("is_error")), extra=extra)
    return Opaque(str(said.get("type")), extra=extra)


KNOWN = {
    "text": ("type", "text", "citations"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
    "mcp_tool_use": ("type", "id", "name", "server_name", "input"),
    "mcp_tool_result": ("type", "tool_use_id", "content", "is_error"),
}


def read_usage(said: Mapping[str, Any]) -> Usage:
    """Lifetimes are told apart where the API tells them; otherwise all that was written lives five minutes."""
    apart = _mapping(said.get("cache_creation"))
    hour = count(apart.get("ephemeral_1h_input_tokens"))
    written = max(count(said.get("cache_creation_input_tokens")), hour + count(apart.get("ephemeral_5m_input_tokens")))
    return Usage(
        input=count(said.get("input_tokens")),
        creation_5m=written - hour,
        creation_1h=hour,
        cache_read=count(said.get("cache_read_input_tokens")),
        output=count(said.get("output_tokens")),
        thinking=count(_mapping(said.get("output_tokens_details")).get("thinking_tokens")),
    )


def read_stop(said: Any) -> StopReason:
    stop: StopReason = said if said in STOPS else "end_turn"
    return stop


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
