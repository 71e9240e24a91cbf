"""Writes answers as the Messages API does: a whole message, or its server-sent events in the API's exact order.

Rule: ids and the model's name are arguments; every counter is a number, never null, since clients add them up.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from haiga.core.edits import Cleared
from haiga.core.errors import HaigaError
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    CitationDelta,
    Delta,
    Echo,
    Event,
    Finished,
    InputDelta,
    Progress,
    Quoted,
    Reply,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from haiga.core.messages import (
    COMPACTION,
    Block,
    Opaque,
    RedactedThinking,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolUse,
)
from haiga.core.policies import Refused
from haiga.wire.anthropic import errors
from haiga.wire.sse import comment, frame
from haiga.wire.usage import reused
from haiga.wire.verbatim import renamed

PING = frame({"type": "ping"})
TYPE = re.compile(rb'^\s*\{\s*"type"\s*:\s*"(\w+)"')
EDITS = {"tool_uses": "clear_tool_uses_20250919", "thinking_turns": "clear_thinking_20251015"}


def write_message(reply: Reply, *, id: str, model: str) -> bytes:
    """The whole answer, with the edits that were made of its prompt where the request speaks of some. `model` is the
    one that was asked, for an answer that does not say whose it is."""
    model = reply.by.model if reply.by else model
    if reply.quoted and reply.quoted.form == "messages":
        return renamed(reply.quoted.data, {"id": id, "model": model})
    message = _envelope(id, model)
    message["content"] = [_block(block) for block in reply.content]
    message |= _ending(reply)
    message["usage"] = _usage(reply.usage) | _iterations(reply)
    if reply.cleared is not None:
        message["context_management"] = _edits(reply.cleared)
    return orjson.dumps(message)


def write_count(tokens: int, original: int | None = None) -> bytes:
    """`original`: what the prompt was before the edits that the request asks for."""
    edited = {} if original is None else {"context_management": {"original_input_tokens": original}}
    return orjson.dumps({"input_tokens": tokens, **edited})


class MessageStream:
    """Turns one answer's events into frames; knows which block is open, so that an error can close it."""

    def __init__(self, id: str, model: str) -> None:
        self._id = id
        self._model = model
        self._open: int | None = None
        self._started = False
        self._quotes = False

    def write(self, event: Event) -> bytes:
        """The frames for one event."""
        if self._quotes:
            return self._quoted(event)
        match event:
            case Started():
                self._started = True
                self._model = event.by.model if event.by else self._model
                if event.by and event.by.form == "messages":
                    self._quotes = True
                    return b""
                message = _envelope(self._id, self._model) | {"usage": _usage(event.usage)}
                return frame({"type": "message_start", "message": message})
            case Progress():
                return PING
            case BlockStarted():
                self._open = event.index
                block = _block(event.block)
                if block["type"] == COMPACTION:
                    return _compaction(event.index, block["content"])
                first = _first(event) if isinstance(event.block, ToolUse | ServerToolUse) else b""
                return frame({"type": "content_block_start", "index": event.index, "content_block": block}) + first
            case BlockStopped():
                self._open = None
                return frame({"type": "content_block_stop", "index": event.index})
            case Finished():
                return self._finish(event)
            case Echo() | Quoted():
                return b""
        return frame({"type": "content_block_delta", "index": event.index, "delta": _delta(event)})

    def idle(self) -> bytes:
        """A sign of life: a ping, or before message_start (which must come first) a comment."""
        return PING if self._started else comment("waiting for the model")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        """The stream's last frames after a failure: the open block is closed first."""
        closing = b"" if self._open is None else frame({"type": "content_block_stop", "index": self._open})
        self._open = None
        return closing + frame(errors.envelope(error, request_id))

    def _quoted(self, event: Event) -> bytes:
        """What a provider says in this form is told as it is, the other events only tell what is open."""
        match event:
            case BlockStarted():
                self._open = event.index
            case BlockStopped():
                self._open = None
            case Quoted(data=data):
                kind = TYPE.match(data)
                name = kind[1] if kind else orjson.loads(data)["type"].encode()
                if name == b"message_start":
                    data = renamed(data, {"id": self._id, "model": self._model}, "message")
                return b"event: %b\ndata: %b\n\n" % (name, data)
        return b""

    def _finish(self, event: Finished) -> bytes:
        data: dict[str, Any] = {
            "type": "message_delta",
            "delta": _ending(event) | {"container": None},
            "usage": _counters(event.usage) | _iterations(event),
        }
        if event.cleared is not None:
            data["context_management"] = _edits(event.cleared)
        return frame(data) + frame({"type": "message_stop"})


def _envelope(id: str, model: str) -> dict[str, Any]:
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
    }


def _edits(made: Sequence[Cleared]) -> dict[str, Any]:
    return {
        "applied_edits": [
            {"type": EDITS[edit.what], f"cleared_{edit.what}": edit.number, "cleared_input_tokens": edit.tokens}
            for edit in made
        ]
    }


def _ending(end: Finished | Reply) -> dict[str, Any]:
    details = _refusal(end.refused) if end.stop == "refusal" else None
    return {"stop_reason": end.stop, "stop_sequence": end.sequence, "stop_details": details}


def _refusal(refused: Refused | None) -> dict[str, Any]:
    """What a policy stopped; `category` is the API's own word for harm of any other kind than it has names for."""
    if refused is None:
        return {"type": "refusal", "category": None, "explanation": None}
    return {"type": "refusal", "category": "general_harms", "explanation": refused.explanation}


def _counters(usage: Usage) -> dict[str, Any]:
    """Cumulative, and overwrites what message_start gave."""
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.creation,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.thinking},
        **reused(usage),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return _counters(usage) | {"cache_creation": _creation(usage), "service_tier": "standard"}


def _creation(usage: Usage) -> dict[str, int]:
    return {"ephemeral_5m_input_tokens": usage.creation_5m, "ephemeral_1h_input_tokens": usage.creation_1h}


def _iterations(end: Finished | Reply) -> dict[str, Any]:
    """What a summary used, and the answer proper, where there was a summary."""
    if end.compacted is None:
        return {}
    used = [("compaction", end.compacted)] + ([("message", end.usage)] if end.stop != "compaction" else [])
    return {"iterations": [{"type": kind} | _prompt_and_output(usage) for kind, usage in used]}


def _prompt_and_output(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.creation,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": _creation(usage),
        "output_tokens": usage.output,
    }


def _compaction(index: int, content: str | None) -> bytes:
    """A summary comes whole, in one piece."""
    start = {"type": "content_block_start", "index": index, "content_block": {"type": COMPACTION, "content": None}}
    delta = {"type": "compaction_delta", "content": content}
    return frame(start) + frame({"type": "content_block_delta", "index": index, "delta": delta})


def _first(event: BlockStarted) -> bytes:
    """A call's arguments begin with an empty piece, as they do at the API."""
    return frame({"type": "content_block_delta", "index": event.index, "delta": _delta(InputDelta(event.index, ""))})


def _delta(event: Delta) -> Mapping[str, Any]:
    match event:
        case CitationDelta():
            return {"type": "citations_delta", "citation": event.citation}
        case TextDelta():
            return {"type": "text_delta", "text": event.text}
        case ThinkingDelta():
            return {"type": "thinking_delta", "thinking": event.thinking}
        case SignatureDelta():
            return {"type": "signature_delta", "signature": event.signature}
    return {"type": "input_json_delta", "partial_json": event.partial_json}


def _block(block: Block) -> Mapping[str, Any]:
    """A block of an answer: what a model can say, and what servers told it meanwhile."""
    match block:
        case Text():
            cited = {"citations": list(block.citations)} if block.citations else {}
            return {"type": "text", "text": block.text, **cited, **block.extra}
        case Thinking():
            return {"type": "thinking", "thinking": block.thinking, "signature": block.signature, **block.extra}
        case RedactedThinking():
            return {"type": "redacted_thinking", "data": block.data, **block.extra}
        case ToolUse():
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input, **block.extra}
        case ServerToolUse():
            return {
                "type": "mcp_tool_use",
                "id": block.id,
                "name": block.name,
                "server_name": block.server,
                "input": block.input,
                **block.extra,
            }
        case ServerToolResult():
            return {
                "type": "mcp_tool_result",
                "tool_use_id": block.tool_use_id,
                "is_error": block.is_error,
                "content": [_block(text) for text in block.content],
                **block.extra,
            }
        case Opaque():
            return {"type": block.type, **block.extra}
    raise TypeError(f"a model does not answer with {type(block).__name__}")
