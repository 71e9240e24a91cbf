"""What can be asked of a text model, and the one stream of events that answers.

Rule: a whole answer is `fold` of the stream, so that there is one path to a model and both forms agree.

The stream, in order:
    Started                                       once: the prompt was counted, its reuse is known
    Progress*                                     while a long prompt is being prefilled
    Echo                                          where the request asks for its prompt back
    (BlockStarted Delta* BlockStopped)*           index 0, 1, 2 …, never interleaved
    Finished                                      once, last: why it stopped, what it used
An error is raised from the iterator; blocks left open then are for the wire to close.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

from haiga.core.edits import Cleared, Edit
from haiga.core.errors import Failed
from haiga.core.messages import (
    Block,
    CacheMark,
    Message,
    ServerToolUse,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    Toolset,
    ToolUse,
)

Priority: TypeAlias = Literal["interactive", "batch"]
StopReason: TypeAlias = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
]


PARTIAL = "_partial_json"  # the key of what was to become a call's arguments


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """How the caller wants tokens chosen; None leaves it to the model's own defaults."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen, every choice made.

    temperature 0 is greedy; top_k 0, top_p 1, min_p 0 switch those filters off; the penalties are neutral at
    0, 0 and 1. `logprobs`: None for none wanted, k for the chosen token's and the k best.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class ThinkingRequest:
    """Whether the model is to reason first: `mode` as asked, `budget` in tokens where one was given."""

    mode: Literal["disabled", "enabled", "adaptive", "between_tools"] = "disabled"
    budget: int | None = None
    display: Literal["summarized", "omitted"] = "summarized"


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One conversation to be continued.

    A last message from the assistant is a prefill: the answer continues it. `cache` marks the last block that
    can be cached. `overflow`: what happens when prompt and max_tokens do not fit the context together. `raw` is a
    prompt to be continued as it stands, without template, as text or token ids; `messages` then holds its text for
    whoever reads along, and is not part of the prompt; what is asked for then stands before `suffix`, where there is
    one, and `echo` asks for the prompt back, scored where log probabilities are wanted. `prediction` is what the answer
    is expected to be, and changes nothing but how fast it comes. `edits` are made in their order before the model reads
    it, and reported with the answer; None where none were spoken of. `toolsets`: whose tools servers are to run for the
    model.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    sampling: SamplingRequest = SamplingRequest()
    stop: tuple[str, ...] = ()
    thinking: ThinkingRequest = ThinkingRequest()
    output_schema: Mapping[str, Any] | None = None
    cache: CacheMark | None = None
    overflow: Literal["refuse", "stop"] = "refuse"
    priority: Priority = "interactive"
    workspace: str = "default"
    user: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    raw: str | tuple[int, ...] | None = None
    suffix: str | None = None
    echo: bool = False
    prediction: str = ""
    edits: tuple[Edit, ...] | None = None
    toolsets: tuple[Toolset, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. The prompt is `input + creation_5m + creation_1h + cache_read`.

    `cache_read` counts tokens whose keys and values were really reused; the creations count tokens newly
    computed and pinned for that lifetime. Of a prediction's tokens `accepted` were tried and came true, and are part
    of `output`; `rejected` were tried in vain, and are part of nothing. `reused`: nothing was computed, the counters
    are those of the answer that was kept.
    """

    input: int = 0
    creation_5m: int = 0
    creation_1h: int = 0
    cache_read: int = 0
    output: int = 0
    thinking: int = 0
    accepted: int = 0
    rejected: int = 0
    reused: bool = False

    @property
    def prompt(self) -> int:
        return self.input + self.creation_5m + self.creation_1h + self.cache_read

    @property
    def creation(self) -> int:
        return self.creation_5m + self.creation_1h

    @property
    def answer_only(self) -> "Usage":
        """Without the prompt: what another answer to one that was counted before used."""
        return Usage(output=self.output, thinking=self.thinking, reused=self.reused)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token, its natural log probability, and the best alternatives (best first)."""

    token: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class PromptToken:
    """One token of a prompt that is given back, where in its text it begins, and how likely it was after those before
    it: None for the first one, and where no log probabilities are wanted."""

    text: str
    at: int
    score: TokenLogprob | None = None


@dataclass(frozen=True, slots=True)
class Started:
    usage: Usage


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` prompt tokens are computed."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Echo:
    """The prompt as text, and its tokens."""

    text: str
    tokens: tuple[PromptToken, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """`block` is the empty shape of what follows (a Text with no text, a ToolUse with its id and name)."""

    index: int
    block: Block


@dataclass(frozen=True, slots=True)
class TextDelta:
    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    index: int
    thinking: str


@dataclass(frozen=True, slots=True)
class SignatureDelta:
    index: int
    signature: str


@dataclass(frozen=True, slots=True)
class InputDelta:
    """A piece of a tool call's arguments as JSON text; the pieces of a block join to one JSON object."""

    index: int
    partial_json: str


@dataclass(frozen=True, slots=True)
class BlockStopped:
    index: int


@dataclass(frozen=True, slots=True)
class Finished:
    """`stop` is why; `sequence` the stop string that matched, only with stop "stop_sequence"; `cleared` the edits that
    were made of the prompt, None where the request speaks of none; `compacted` what a summary of it used, which is no
    part of `usage`."""

    stop: StopReason
    usage: Usage
    sequence: str | None = None
    cleared: tuple[Cleared, ...] | None = None
    compacted: Usage | None = None

    @property
    def used(self) -> Usage:
        """All that the request used, a summary of it included."""
        return self.usage if self.compacted is None else together([self.usage, self.compacted], 1)


Delta: TypeAlias = TextDelta | ThinkingDelta | SignatureDelta | InputDelta
Event: TypeAlias = Started | Progress | Echo | BlockStarted | Delta | BlockStopped | Finished


@dataclass(frozen=True, slots=True)
class Choice:
    """An event of one of several answers asked for at once, the one with this `index`."""

    index: int
    event: Event


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left out of a prompt to make it fit: whole messages, and characters out of one that stayed."""

    messages: int = 0
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Routed:
    """Which model answers, where the request names several; comes before any of its events."""

    model: str
    dropped: Dropped = Dropped()


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    content: tuple[Block, ...]
    stop: StopReason
    usage: Usage
    sequence: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    cleared: tuple[Cleared, ...] | None = None
    compacted: Usage | None = None
    echo: Echo | None = None


@dataclass(slots=True)
class _Open:
    """A block under construction: its empty shape and the pieces so far."""

    shape: Block
    pieces: list[str] = field(default_factory=list)
    signature: str = ""

    def close(self) -> Block:
        joined = "".join(self.pieces)
        match self.shape:
            case Text():
                return replace(self.shape, text=self.shape.text + joined)
            case Thinking():
                return replace(self.shape, thinking=self.shape.thinking + joined, signature=self.signature)
            case ToolUse() | ServerToolUse():
                return replace(self.shape, input=_parse_arguments(joined) if joined else self.shape.input)
        return self.shape


PARTIAL = "_partial_json"  # under this key stand arguments that were cut short


class Folder:
    """Folds events into a `Reply` one at a time, so that a stream can be passed on and kept as well."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._open: _Open | None = None
        self._logprobs: list[TokenLogprob] = []
        self._echo: Echo | None = None
        self._finished: Finished | None = None

    def add(self, event: Event) -> Block | None:
        """The block that the event completes, None for none."""
        match event:
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
            case BlockStopped() if self._open:
                self._blocks.append(self._open.close())
                self._open = None
                return self._blocks[-1]
            case Echo():
                self._echo = event
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
        return Reply(blocks, end.stop, end.usage, end.sequence, logprobs, end.cleared, end.compacted, self._echo)


def fold(events: Iterable[Event]) -> Reply:
    """The whole answer that a stream adds up to."""
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.reply()


def replay(reply: Reply) -> Iterator[Event]:
    """A stream that adds up to a whole answer; log probabilities come with its first text."""
    yield Started(replace(reply.usage, output=0, thinking=0))
    if reply.echo:
        yield reply.echo
    logprobs = reply.logprobs
    for i, block in enumerate(reply.content):
        deltas: list[Delta] = []
        match block:
            case Text(text=text):
                block, deltas, logprobs = replace(block, text=""), [TextDelta(i, text, logprobs)], ()
            case Thinking(thinking=thinking, signature=signature):
                block = replace(block, thinking="", signature="")
                deltas = [ThinkingDelta(i, thinking), *([SignatureDelta(i, signature)] if signature else [])]
            case ToolUse(input=arguments):
                block, deltas = replace(block, input={}), [InputDelta(i, _write_arguments(arguments))]
        yield BlockStarted(i, block)
        yield from deltas
        yield BlockStopped(i)
    yield Finished(reply.stop, reply.usage, reply.sequence, reply.cleared, reply.compacted)


def together(usages: Sequence[Usage], each: int) -> Usage:
    """What several answers used, `each` of them to one prompt: every prompt once, as its first answer met it, and
    every output."""
    firsts = usages[::each]
    return Usage(
        input=sum(used.input for used in firsts),
        creation_5m=sum(used.creation_5m for used in firsts),
        creation_1h=sum(used.creation_1h for used in firsts),
        cache_read=sum(used.cache_read for used in firsts),
        output=sum(used.output for used in usages),
        thinking=sum(used.thinking for used in usages),
        accepted=sum(used.accepted for used in usages),
        rejected=sum(used.rejected for used in usages),
        reused=all(used.reused for used in usages),
    )


def total(usages: Sequence[Usage]) -> Usage:
    """What several answers used, each to a prompt of its own."""
    return Usage(*(sum(getattr(used, each.name) for used in usages) for each in fields(Usage)))


def _parse_arguments(text: str) -> Mapping[str, Any]:
    """A call cut at max_tokens leaves broken JSON: it is kept as text under one key, never lost."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {PARTIAL: text}
    return value if isinstance(value, dict) else {"_value": value}


def _write_arguments(arguments: Mapping[str, Any]) -> str:
    return str(arguments[PARTIAL]) if arguments.keys() == {PARTIAL} else json.dumps(arguments)


def resolve(asked: SamplingRequest, default: Sampling) -> Sampling:
    """The caller's wishes over the model's defaults."""
    chosen = {
        name: value for name in SamplingRequest.__dataclass_fields__ if (value := getattr(asked, name)) is not None
    }
    return replace(default, **chosen)
