"""What can be asked of a text model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from haiga.core.edits import Edit
from haiga.core.errors import HaigaError
from haiga.core.generation.events import Form
from haiga.core.messages import (
    CacheMark,
    Message,
    Text,
    Tool,
    ToolChoice,
    Toolset,
)

Priority: TypeAlias = Literal["interactive", "batch"]


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
class Source:
    """A request as its caller wrote it: the `body` in this `form`, its `data` as bytes, and the headers that belong to
    that form. `refused` is why this server itself would not take it; whoever speaks the form may."""

    form: Form
    body: Mapping[str, Any]
    data: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: HaigaError | None = field(default=None, repr=False)


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
    model. `unbounded`: the caller named no limit, and `max_tokens` is all that the model gives. `source`: how it was
    written, where somebody else may have to read it, and `read` what it was before any stage changed it. `trace`:
    headers by which whoever answers elsewhere joins the trace.
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
    unbounded: bool = field(default=False, repr=False, compare=False)
    source: Source | None = None
    read: "TextRequest | None" = field(default=None, repr=False, compare=False)
    trace: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def changed(self) -> frozenset[str]:
        """The fields that say something else than the request did when it was read."""
        if self.read is None:
            return frozenset()
        return frozenset(name for name in MEANT if getattr(self, name) != getattr(self.read, name))


# what a request means to a model
MEANT = (
    "messages", "max_tokens", "system", "tools", "tool_choice", "sampling", "stop", "thinking", "output_schema",
    "cache", "edits", "toolsets",
)  # fmt: skip


def sourced(request: TextRequest, source: Source) -> TextRequest:
    """The request with how it was written."""
    return replace(request, source=source, read=request)


def resolve(asked: SamplingRequest, default: Sampling) -> Sampling:
    """The caller's wishes over the model's defaults."""
    chosen = {
        name: value for name in SamplingRequest.__dataclass_fields__ if (value := getattr(asked, name)) is not None
    }
    return replace(default, **chosen)
