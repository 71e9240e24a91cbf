"""Writes one output item, piece by piece: what opens it, what adds to it, what closes it.

Rule: an item knows neither its place in the answer nor the numbers of its events; stream.py adds both.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from haiga.core.generation import Delta, InputDelta, SignatureDelta, TextDelta, ThinkingDelta, TokenLogprob
from haiga.core.messages import (
    COMPACTION,
    Block,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolUse,
    text_of,
)
from haiga.wire.openai_chat.messages_in import read_arguments
from haiga.wire.openai_chat.write import argument_text, free_text, logprobs_body
from haiga.wire.openai_responses.codes import encode_summary, encode_thoughts
from haiga.wire.openai_responses.read import Form

Json: TypeAlias = dict[str, Any]


class OpenItem(Protocol):
    """An item under construction. Events lack `item_id`, `output_index` and `sequence_number`."""

    id: str

    def body(self, status: str) -> Json:
        """The item as it stands."""

    def opening(self) -> list[Json]:
        """After the event that adds the empty item."""

    def grow(self, delta: Delta) -> list[Json]:
        """What a piece adds."""

    def closing(self) -> list[Json]:
        """Before the event that says the item is done."""


def open_item(block: Block, form: Form, new_id: Callable[[str], str]) -> OpenItem | None:
    """An empty item for a block that begins; None for a block that the API has no item for."""
    match block:
        case Text():
            return MessageItem(new_id("msg"), form)
        case Thinking():
            return SummaryItem(new_id("rs"), form) if form.summary else ReasoningItem(new_id("rs"), form)
        case ToolUse(name=name) if name in form.free_text:
            return CustomCallItem(new_id("ctc"), block)
        case ToolUse():
            return CallItem(new_id("fc"), block)
        case ServerToolUse():
            return McpCallItem(new_id("mcp"), block)
        case Opaque(type=kind, extra=extra) if kind == COMPACTION and extra["content"]:
            return CompactionItem(new_id("cmp"), str(extra["content"]))
    return None


class MessageItem:
    """Text: a message with one part."""

    def __init__(self, id: str, form: Form) -> None:
        self.id = id
        self._form = form
        self._pieces: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def body(self, status: str) -> Json:
        content = [self._part()] if status != "in_progress" else []
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def opening(self) -> list[Json]:
        return [{"type": "response.content_part.added", "content_index": 0, "part": self._part()}]

    def grow(self, delta: Delta) -> list[Json]:
        if not isinstance(delta, TextDelta):
            return []
        self._pieces.append(delta.text)
        self._logprobs.extend(delta.logprobs)
        return [
            {
                "type": "response.output_text.delta",
                "content_index": 0,
                "delta": delta.text,
                "logprobs": self._entries(delta.logprobs),
            }
        ]

    def closing(self) -> list[Json]:
        text, logprobs = "".join(self._pieces), self._entries(self._logprobs)
        return [
            {"type": "response.output_text.done", "content_index": 0, "text": text, "logprobs": logprobs},
            {"type": "response.content_part.done", "content_index": 0, "part": self._part()},
        ]

    def _part(self) -> Json:
        part: Json = {"type": "output_text", "text": "".join(self._pieces), "annotations": []}
        return part | {"logprobs": self._entries(self._logprobs)}

    def _entries(self, logprobs: Sequence[TokenLogprob]) -> list[Json]:
        entries: list[Json] = logprobs_body(logprobs)["content"] if self._form.logprobs else []
        return entries


class _Thoughts:
    """What both forms of a reasoning item share."""

    def __init__(self, id: str, form: Form) -> None:
        self.id = id
        self._form = form
        self._pieces: list[str] = []
        self._signature = ""

    @property
    def _text(self) -> str:
        return "".join(self._pieces)

    def _body(self, status: str, **said: list[Json]) -> Json:
        body: Json = {"id": self.id, "type": "reasoning", "summary": [], "content": [], "status": status}
        if self._form.encrypted:
            done = status != "in_progress"
            body["encrypted_content"] = encode_thoughts(self._text, self._signature) if done else None
        return body | said

    def _grow(self, delta: Delta, event: Json) -> list[Json]:
        if isinstance(delta, SignatureDelta):
            self._signature += delta.signature
        if not isinstance(delta, ThinkingDelta):
            return []
        self._pieces.append(delta.thinking)
        return [event | {"delta": delta.thinking}]


class ReasoningItem(_Thoughts):
    """Thoughts as they are."""

    def body(self, status: str) -> Json:
        return self._body(status, content=[] if status == "in_progress" else [self._part()])

    def opening(self) -> list[Json]:
        return [{"type": "response.content_part.added", "content_index": 0, "part": self._part()}]

    def grow(self, delta: Delta) -> list[Json]:
        return self._grow(delta, {"type": "response.reasoning_text.delta", "content_index": 0})

    def closing(self) -> list[Json]:
        return [
            {"type": "response.reasoning_text.done", "content_index": 0, "text": self._text},
            {"type": "response.content_part.done", "content_index": 0, "part": self._part()},
        ]

    def _part(self) -> Json:
        return {"type": "reasoning_text", "text": self._text}


class SummaryItem(_Thoughts):
    """Thoughts where clients that ask for a summary look for it. They are whole: nothing here sums them up."""

    def body(self, status: str) -> Json:
        return self._body(status, summary=[] if status == "in_progress" else [self._part()])

    def opening(self) -> list[Json]:
        return [{"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": self._part()}]

    def grow(self, delta: Delta) -> list[Json]:
        return self._grow(delta, {"type": "response.reasoning_summary_text.delta", "summary_index": 0})

    def closing(self) -> list[Json]:
        return [
            {"type": "response.reasoning_summary_text.done", "summary_index": 0, "text": self._text},
            {"type": "response.reasoning_summary_part.done", "summary_index": 0, "part": self._part()},
        ]

    def _part(self) -> Json:
        return {"type": "summary_text", "text": self._text}


class CompactionItem:
    """A summary of all that came before, whole from the start."""

    def __init__(self, id: str, summary: str) -> None:
        self.id = id
        self._summary = summary

    def body(self, status: str) -> Json:
        return {"id": self.id, "type": "compaction", "encrypted_content": encode_summary(self._summary)}

    def opening(self) -> list[Json]:
        return [{"type": "response.compaction.compacting"}]

    def grow(self, delta: Delta) -> list[Json]:
        return []

    def closing(self) -> list[Json]:
        return []


class CallItem:
    """A function call; its arguments are passed on as they come."""

    def __init__(self, id: str, use: ToolUse) -> None:
        self.id = id
        self._use = use
        self._pieces: list[str] = []

    def body(self, status: str) -> Json:
        arguments = "" if status == "in_progress" else self._arguments
        head = {"id": self.id, "type": "function_call", "status": status}
        return head | {"call_id": self._use.id, "name": self._use.name, "arguments": arguments}

    def opening(self) -> list[Json]:
        return []

    def grow(self, delta: Delta) -> list[Json]:
        if not isinstance(delta, InputDelta):
            return []
        self._pieces.append(delta.partial_json)
        return [self._delta(delta.partial_json)]

    def closing(self) -> list[Json]:
        late = [] if any(self._pieces) else [self._delta(self._arguments)]
        done = {"type": "response.function_call_arguments.done", "name": self._use.name, "arguments": self._arguments}
        return [*late, done]

    @property
    def _arguments(self) -> str:
        return "".join(self._pieces) or argument_text(self._use.input)

    def _delta(self, piece: str) -> Json:
        return {"type": "response.function_call_arguments.delta", "delta": piece}


class CustomCallItem:
    """A call of free text, held back until the JSON around it is whole."""

    def __init__(self, id: str, use: ToolUse) -> None:
        self.id = id
        self._use = use
        self._pieces: list[str] = []

    def body(self, status: str) -> Json:
        head = {"id": self.id, "type": "custom_tool_call", "status": status}
        text = "" if status == "in_progress" else self._text
        return head | {"call_id": self._use.id, "name": self._use.name, "input": text}

    def opening(self) -> list[Json]:
        return []

    def grow(self, delta: Delta) -> list[Json]:
        if isinstance(delta, InputDelta):
            self._pieces.append(delta.partial_json)
        return []

    def closing(self) -> list[Json]:
        return [
            {"type": "response.custom_tool_call_input.delta", "delta": self._text},
            {"type": "response.custom_tool_call_input.done", "input": self._text},
        ]

    @property
    def _text(self) -> str:
        said = "".join(self._pieces)
        return free_text(read_arguments(said) if said else self._use.input)


class McpCallItem:
    """A call that this server carries out: it stays open until what comes of it is known."""

    def __init__(self, id: str, use: ServerToolUse) -> None:
        self.id = id
        self.call = use.id
        self._use = use
        self._pieces: list[str] = []
        self._result: ServerToolResult | None = None

    def body(self, status: str) -> Json:
        head: Json = {"id": self.id, "type": "mcp_call", "status": status, "approval_request_id": None}
        head |= {"server_label": self._use.server, "name": self._use.name}
        arguments = "" if status == "in_progress" else self._arguments
        return head | {"arguments": arguments, "output": None, "error": None} | self._outcome()

    def opening(self) -> list[Json]:
        return [{"type": "response.mcp_call.in_progress"}]

    def grow(self, delta: Delta) -> list[Json]:
        if not isinstance(delta, InputDelta):
            return []
        self._pieces.append(delta.partial_json)
        return [{"type": "response.mcp_call_arguments.delta", "delta": delta.partial_json}]

    def closing(self) -> list[Json]:
        return [{"type": "response.mcp_call_arguments.done", "arguments": self._arguments}]

    def answer(self, result: ServerToolResult) -> list[Json]:
        """What came of the call."""
        self._result = result
        return [{"type": f"response.mcp_call.{'failed' if result.is_error else 'completed'}"}]

    def _outcome(self) -> Json:
        if self._result is None:
            return {}
        text = text_of(self._result.content)
        if not self._result.is_error:
            return {"output": text}
        error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]}
        return {"error": error, "status": "failed"}

    @property
    def _arguments(self) -> str:
        return "".join(self._pieces) or argument_text(self._use.input)
