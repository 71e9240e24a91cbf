"""Writes answers as Chat Completions does, in chunks.

Rule: one `ChoiceWriter` per answer turns core events into deltas and knows nothing of envelopes; `ChatStream` puts them
into chunks. Other families of the same deltas (OpenRouter) have an envelope of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from haiga.core.errors import HaigaError
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Choice,
    Event,
    Finished,
    InputDelta,
    Progress,
    Quoted,
    Started,
    TextDelta,
    ThinkingDelta,
)
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.wire import openai_errors
from haiga.wire.openai_chat.messages_in import read_arguments
from haiga.wire.openai_chat.read import Form
from haiga.wire.openai_chat.write import argument_text, finish_reason, free_text, logprobs_body, tier, usage_body
from haiga.wire.sse import comment
from haiga.wire.verbatim import renamed

DONE = b"data: [DONE]\n\n"
LAST = re.compile(rb'"choices"\s*:\s*\[\s*\]')
NO_USAGE = re.compile(rb',\s*"usage"\s*:\s*null')


def data_frame(data: dict[str, Any]) -> bytes:
    """One unnamed event."""
    return b"data: %b\n\n" % orjson.dumps(data)


def progress_comment(event: Progress) -> bytes:
    return comment(f"prefill {event.done}/{event.total}")


@dataclass(slots=True)
class _Call:
    """The tool call being written: its place among the answer's calls, and its arguments so far."""

    index: int
    use: ToolUse
    pieces: list[str] = field(default_factory=list)


class ChoiceWriter:
    """One answer's events to its deltas."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._calls = 0
        self._call: _Call | None = None

    def delta(self, event: Event) -> dict[str, Any] | None:
        """What the event adds to the message; None for nothing."""
        match event:
            case Started():
                return {"role": "assistant", "content": "", "refusal": None}
            case BlockStarted():
                return self._open(event)
            case TextDelta():
                return {"content": event.text}
            case ThinkingDelta():
                return {"reasoning_content": event.thinking}
            case InputDelta():
                return self._grow(event.partial_json)
            case BlockStopped():
                return self._close()
            case Finished(refused=refused):
                return {"refusal": refused.explanation} if refused else {}
        return None

    def _open(self, event: BlockStarted) -> dict[str, Any] | None:
        match event.block:
            case ToolUse():
                self._call = _Call(self._calls, event.block)
                self._calls += 1
                return self._opening(self._call)
            case Text(text=text) if text:
                return {"content": text}
            case Thinking(thinking=thinking) if thinking:
                return {"reasoning_content": thinking}
        return None

    def _opening(self, call: _Call) -> dict[str, Any] | None:
        use = call.use
        if self._form.functions:
            return {"function_call": {"name": use.name, "arguments": ""}} if call.index == 0 else None
        if use.name in self._form.free_text:
            shape: dict[str, Any] = {"type": "custom", "custom": {"name": use.name, "input": ""}}
        else:
            shape = {"type": "function", "function": {"name": use.name, "arguments": ""}}
        return {"tool_calls": [{"index": call.index, "id": use.id, **shape}]}

    def _grow(self, piece: str) -> dict[str, Any] | None:
        """A call of free text is held back until its JSON is whole."""
        if self._call is None:
            return None
        self._call.pieces.append(piece)
        return None if self._call.use.name in self._form.free_text else self._fragment(self._call, piece)

    def _close(self) -> dict[str, Any] | None:
        call, self._call = self._call, None
        if call is None:
            return None
        said = "".join(call.pieces)
        if call.use.name in self._form.free_text:
            whole = read_arguments(said) if said else call.use.input
            return {"tool_calls": [{"index": call.index, "custom": {"input": free_text(whole)}}]}
        return None if said else self._fragment(call, argument_text(call.use.input))

    def _fragment(self, call: _Call, piece: str) -> dict[str, Any] | None:
        if self._form.functions:
            return {"function_call": {"arguments": piece}} if call.index == 0 else None
        return {"tool_calls": [{"index": call.index, "function": {"arguments": piece}}]}


class ChatStream:
    """Turns the events of all answers into chunks; the plain Finished after the last answer's ends the stream, and
    tells what is `beside` it by then."""

    def __init__(
        self, form: Form, *, id: str, model: str, created: int, beside: Mapping[str, Any] | None = None
    ) -> None:
        self._form = form
        self._beside = {} if beside is None else beside
        self._choices: dict[int, ChoiceWriter] = {}
        self._head: dict[str, Any] = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "system_fingerprint": None,
            **tier(form),
        }
        self._usage = {"usage": None} if form.include_usage else {}
        self._quotes = False

    def write(self, item: Choice | Finished) -> bytes:
        """The frames for one event; none for what the format has no place for."""
        if isinstance(item, Finished):
            return DONE if self._quotes else self._end(item)
        if isinstance(item.event, Started) and item.event.by:
            self._head["model"] = item.event.by.model
            self._quotes = item.event.by.form == "chat"
        if self._quotes:
            return self._quoted(item.event.data) if isinstance(item.event, Quoted) else b""
        if isinstance(item.event, Progress):
            return progress_comment(item.event)
        writer = self._choices.setdefault(item.index, ChoiceWriter(self._form))
        delta = writer.delta(item.event)
        return b"" if delta is None else self._chunk(item, delta)

    def idle(self) -> bytes:
        return comment("keep-alive")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        """The stream's last frame after a failure; without the closing mark, since nothing was completed."""
        return data_frame(openai_errors.envelope(error))

    def _quoted(self, data: bytes) -> bytes:
        """A provider's chunk as it is. The usage, which was asked for in any case, goes to those who want it."""
        if not self._form.include_usage:
            if LAST.search(data):
                return b""
            data = NO_USAGE.sub(b"", data, count=1)
        return b"data: %b\n\n" % renamed(data, {"id": self._head["id"], "model": self._head["model"]})

    def _chunk(self, item: Choice, delta: dict[str, Any]) -> bytes:
        event = item.event
        logprobs = event.logprobs if isinstance(event, TextDelta) and self._form.logprobs else ()
        choice = {
            "index": item.index,
            "delta": delta,
            "logprobs": logprobs_body(logprobs) if logprobs else None,
            "finish_reason": finish_reason(event.stop, self._form) if isinstance(event, Finished) else None,
        }
        return data_frame({**self._head, "choices": [choice], **self._usage})

    def _end(self, end: Finished) -> bytes:
        told = data_frame({**self._head, "choices": [], **self._usage, **self._beside}) if self._beside else b""
        if not self._form.include_usage:
            return told + DONE
        return told + data_frame({**self._head, "choices": [], "usage": usage_body(end.usage)}) + DONE
