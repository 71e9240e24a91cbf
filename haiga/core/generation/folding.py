"""A stream of events to a whole answer, and back.

Rule: a whole answer is `fold` of the stream, so that there is one path to a model and both forms agree.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from haiga.core.edits import Cleared
from haiga.core.errors import Failed
from haiga.core.generation.events import (
    BlockStarted,
    BlockStopped,
    CitationDelta,
    Delta,
    Echo,
    Event,
    Finished,
    InputDelta,
    Quoted,
    Served,
    SignatureDelta,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
)
from haiga.core.messages import (
    Block,
    ServerToolUse,
    Text,
    Thinking,
    ToolUse,
)
from haiga.core.policies import Refused

PARTIAL = "_partial_json"  # the key of what was to become a call's arguments


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `by` who gave it, where that was told, and `quoted` the whole of it in their own words."""

    content: tuple[Block, ...]
    stop: StopReason
    usage: Usage
    sequence: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    cleared: tuple[Cleared, ...] | None = None
    compacted: Usage | None = None
    echo: Echo | None = None
    by: Served | None = None
    quoted: Quoted | None = None
    refused: Refused | None = None


@dataclass(slots=True)
class _Open:
    """A block under construction: its empty shape and the pieces so far."""

    shape: Block
    pieces: list[str] = field(default_factory=list)
    signature: str = ""
    citations: list[Mapping[str, Any]] = field(default_factory=list)

    def close(self) -> Block:
        joined = "".join(self.pieces)
        match self.shape:
            case Text():
                cited = (*self.shape.citations, *self.citations)
                return replace(self.shape, text=self.shape.text + joined, citations=cited)
            case Thinking():
                return replace(self.shape, thinking=self.shape.thinking + joined, signature=self.signature)
            case ToolUse() | ServerToolUse():
                return replace(self.shape, input=_parse_arguments(joined) if joined else self.shape.input)
        return self.shape


class Folder:
    """Folds events into a `Reply` one at a time, so that a stream can be passed on and kept as well."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._open: _Open | None = None
        self._logprobs: list[TokenLogprob] = []
        self._echo: Echo | None = None
        self._by: Served | None = None
        self._quoted: Quoted | None = None
        self._finished: Finished | None = None

    def add(self, event: Event) -> Block | None:
        """The block that the event completes, None for none."""
        match event:
            case Started():
                self._by = event.by
            case BlockStarted():
                self._open = _Open(event.block)
            case TextDelta():
                self._grow(event.text)
                self._logprobs.extend(event.logprobs)
            case ThinkingDelta():
                self._grow(event.thinking)
            case InputDelta():
                self._grow(event.partial_json)
            case SignatureDelta() if self._open:
                self._open.signature += event.signature
            case CitationDelta() if self._open:
                self._open.citations.append(event.citation)
            case BlockStopped() if self._open:
                self._blocks.append(self._open.close())
                self._open = None
                return self._blocks[-1]
            case Echo():
                self._echo = event
            case Quoted(whole=True):
                self._quoted = event
            case Finished():
                self._finished = event
        return None

    def _grow(self, piece: str) -> None:
        if self._open:
            self._open.pieces.append(piece)

    def reply(self) -> Reply:
        """The whole answer. Raises Failed when the stream ended before its Finished event."""
        if self._finished is None:
            raise Failed("the model's answer ended early")
        end = self._finished
        blocks, logprobs = tuple(self._blocks), tuple(self._logprobs)
        told = (end.stop, end.usage, end.sequence, logprobs, end.cleared, end.compacted)
        return Reply(blocks, *told, self._echo, self._by, self._quoted, end.refused)


def fold(events: Iterable[Event]) -> Reply:
    """The whole answer that a stream adds up to."""
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.reply()


def replay(reply: Reply) -> Iterator[Event]:
    """A stream that adds up to a whole answer; log probabilities come with its first text."""
    yield Started(replace(reply.usage, output=0, thinking=0), reply.by and replace(reply.by, form=None))
    if reply.echo:
        yield reply.echo
    logprobs = reply.logprobs
    for i, block in enumerate(reply.content):
        deltas: list[Delta] = []
        match block:
            case Text(text=text, citations=cited):
                deltas = [TextDelta(i, text, logprobs), *(CitationDelta(i, each) for each in cited)]
                block, logprobs = replace(block, text="", citations=()), ()
            case Thinking(thinking=thinking, signature=signature):
                block = replace(block, thinking="", signature="")
                deltas = [ThinkingDelta(i, thinking), *([SignatureDelta(i, signature)] if signature else [])]
            case ToolUse(input=arguments):
                block, deltas = replace(block, input={}), [InputDelta(i, _write_arguments(arguments))]
        yield BlockStarted(i, block)
        yield from deltas
        yield BlockStopped(i)
    yield Finished(reply.stop, reply.usage, reply.sequence, reply.cleared, reply.compacted, reply.refused)


def _parse_arguments(text: str) -> Mapping[str, Any]:
    """A call cut at max_tokens leaves broken JSON: it is kept as text under one key, never lost."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {PARTIAL: text}
    return value if isinstance(value, dict) else {"_value": value}


def _write_arguments(arguments: Mapping[str, Any]) -> str:
    return str(arguments[PARTIAL]) if arguments.keys() == {PARTIAL} else json.dumps(arguments)
