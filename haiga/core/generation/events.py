"""The one stream of events that answers, and what an answer used.

Rule: the order is drawn in the package's docstring; an error is raised from the iterator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

from haiga.core.edits import Cleared
from haiga.core.limits import Standing
from haiga.core.messages import (
    Block,
)
from haiga.core.policies import Refused

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


Form: TypeAlias = Literal["messages", "chat", "router"]  # the last is OpenRouter's own chat


@dataclass(frozen=True, slots=True)
class Served:
    """Who answers: the `model` by its name here and, where another server runs it, that `provider`, the id it gave the
    request, where this server stands with its limits, and the `form` in which its answer is quoted, if it is."""

    model: str
    provider: str = ""
    request_id: str | None = None
    standing: tuple[Standing, ...] = ()
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """`by` says who answers; an engine of this server's own leaves it out. There the prompt `waited` for its first
    step, which `ran` (seconds, of other engines not known)."""

    usage: Usage
    by: Served | None = None
    waited: float = field(default=0.0, compare=False)
    ran: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Quoted:
    """What a provider said, in its own words, for a caller who speaks the same `form`: the data of one server-sent
    event, after the events that it means, or the body of a `whole` answer. A stage that changes events, or holds some
    back, leaves these out (`unquoted`)."""

    form: Form
    data: bytes
    whole: bool = False


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
class CitationDelta:
    """What the text block rests on, as `Text.citations` has it; comes after the text."""

    index: int
    citation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BlockStopped:
    index: int


@dataclass(frozen=True, slots=True)
class Finished:
    """`stop` is why; `sequence` the stop string that matched, only with stop "stop_sequence"; `cleared` the edits that
    were made of the prompt, None where the request speaks of none; `compacted` what a summary of it used, which is no
    part of `usage`; `refused` why a policy ended it, only with stop "refusal"."""

    stop: StopReason
    usage: Usage
    sequence: str | None = None
    cleared: tuple[Cleared, ...] | None = None
    compacted: Usage | None = None
    refused: Refused | None = None

    @property
    def used(self) -> Usage:
        """All that the request used, a summary of it included."""
        return self.usage if self.compacted is None else together([self.usage, self.compacted], 1)


Delta: TypeAlias = TextDelta | CitationDelta | ThinkingDelta | SignatureDelta | InputDelta


Plain: TypeAlias = Started | Progress | Echo | BlockStarted | Delta | BlockStopped | Finished
Event: TypeAlias = Plain | Quoted


def unquoted(event: Event) -> Plain | None:
    """The event in an answer that is not quoted; None for a quotation."""
    match event:
        case Quoted():
            return None
        case Started(by=Served() as by):
            return replace(event, by=replace(by, form=None))
    return event


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
