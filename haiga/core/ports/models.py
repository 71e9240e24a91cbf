"""Who runs models, and what stands before them.

Rule: a seam is a Protocol over core values; a capability is data that the implementation declares.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.generation import Event, Form, TextRequest
from haiga.core.load import Load
from haiga.core.messages import ImageSource
from haiga.core.moderation import Moderation, ModerationRequest, Scores, Span
from haiga.core.pictures import Seen
from haiga.core.records import Price

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far back a model's local layers see: the last `reach` positions, a token's own included; or, `chunked`, back
    to the start of the chunk of `reach` positions that it is in."""

    reach: int
    chunked: bool = False

    def first(self, position: int) -> int:
        """The first position that a token at `position` sees."""
        return position // self.reach * self.reach if self.chunked else max(0, position - self.reach + 1)


class Adapter(Protocol):
    """What changes a model for some sequences: factors of low rank beside the weights of some of its layers (LoRA)."""

    @property
    def key(self) -> str:
        """What tells it from others: two with one key do the same."""

    @property
    def ranks(self) -> Mapping[str, int]:
        """The rank of each layer that it changes."""

    def write(self, layer: str, down: "NDArray[np.float32]", up: "NDArray[np.float32]") -> None:
        """Put a layer's factors into A [rank, inner] and B [rank, outer]: y + (x A^T) B."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence's share of a step.

    tokens: new token ids to run, at least one. past: how many tokens of this sequence already have their keys and
    values in its blocks. blocks: the block table, covering past + len(tokens). sampled: for how many of the last
    positions logits are wanted (0: a chunk of prefill, 1: the next token). local: the table of the local layers, from
    the sequence's block `skipped` on; None: the same numbers as `blocks`. pictures: all of the sequence's. adapter:
    what changes the model for this sequence.
    """

    tokens: Sequence[int]
    past: int
    blocks: Sequence[int]
    sampled: int
    local: Sequence[int] | None = None
    skipped: int = 0
    pictures: Sequence[Seen] = ()
    adapter: Adapter | None = None


class Runner(Protocol):
    """A compiled model and its pool of KV blocks: the seam under the scheduler."""

    @property
    def block_size(self) -> int:
        """Tokens per KV block."""

    @property
    def blocks(self) -> int:
        """How many blocks the pool has."""

    @property
    def horizon(self) -> Horizon | None:
        """How far its local layers see, whose keys and values are in a pool of their own; None: it has no such."""

    @property
    def local_blocks(self) -> int:
        """How many blocks that pool has."""

    @property
    def vocabulary(self) -> int:
        """Width of the logits."""

    def step(self, rows: Sequence[Row]) -> "NDArray[np.float32]":
        """Run any mix of prefill and decode; logits [sum of sampled, vocabulary], rows in order, valid until the
        next step."""

    def copy_out(self, block: int, local: bool) -> "NDArray[np.uint8]":
        """A copy of a block's keys and values in all layers that its pool serves (`local`: the local layers' pool)."""

    def copy_in(self, block: int, local: bool, content: "NDArray[np.uint8]") -> None:
        """Put into a block what `copy_out` gave, of whichever block."""

    def close(self) -> None:
        """Free the model and its pool."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can take and do; checked before work starts. `images`: it sees; `infill`: fill in before a suffix;
    `scoring`: give a prompt back with the log probabilities of its tokens; `painting`: make pictures, from several
    at once where it `combines`."""

    images: bool = False
    documents: bool = False
    tools: bool = False
    thinking: bool = False
    structured_output: bool = False
    prefill: bool = True
    embeddings: bool = False
    text: bool = True
    infill: bool = False
    scoring: bool = False
    painting: bool = False
    combines: bool = False


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the APIs say about a model. `created` is unix seconds; `context` and `max_output` are tokens; `dimensions`
    is how many numbers its embeddings have. `precision` names how weights and cache are kept: the same request may be
    answered otherwise under another one. `tags` are the operator's, such as where it runs: keys can be held to them.
    `provider` is who runs it elsewhere, by the name it has here; empty for this server. `forms` are those in which a
    request is handed on, and its answer back, as it was written; `price` is what they say that it costs. `parent` is
    the model that this one is an adapter of."""

    name: str
    display_name: str
    created: int
    context: int
    max_output: int
    capabilities: Capabilities = Capabilities()
    dimensions: int = 0
    precision: str = ""
    tags: tuple[str, ...] = ()
    provider: str = ""
    forms: tuple[Form, ...] = ()
    price: Price | None = None
    parent: str = ""


class Engine(Protocol):
    """Who runs a model: a request to events. The seam above the scheduler.

    `generate` and `count` raise core errors only. Closing the generator aborts the request at the engine's next step.
    """

    @property
    def card(self) -> ModelCard:
        """What this engine's model can do."""

    def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        """Answer; the events come in the order that core/generation draws."""

    async def count(self, request: TextRequest) -> int:
        """The request's prompt in tokens, exactly as `generate` would be billed."""

    @property
    def busy(self) -> int:
        """Requests under way."""

    @property
    def load(self) -> Load:
        """What it does now, and has done since its start."""

    async def start(self) -> None:
        """Make ready to answer (load weights, start a process). Raises Failed or Invalid when it cannot."""

    async def close(self) -> None:
        """Give everything back; requests under way end with Dead."""

    @property
    def memory(self) -> int:
        """Bytes held while started: weights, KV pool and overhead, estimated before and measured after the start."""


class Elsewhere(Protocol):
    """Models that another server runs."""

    def engine(self, name: str) -> Engine | None:
        """Who answers to the name; None where it is none of these models. It need not be started."""

    def embedder(self, name: str) -> "Embedder | None":
        """Who makes the embeddings of the model of that name; None where nobody does. It need not be started."""

    def cards(self) -> Sequence[ModelCard]:
        """Those of the models that are known by name."""

    async def close(self) -> None:
        """End every request under way, with Dead."""


Ask: TypeAlias = Callable[[Caller, TextRequest], AsyncGenerator[Event, None]]


class Stage(Protocol):
    """What stands between a caller and a model, for every wire family alike: limits, records, tools, filters.

    A stage may refuse the request (raise before the first event), change it, answer it without asking further, ask
    several times, or follow the events that pass. Closing its generator closes what it has asked. One that changes
    events or holds some back leaves out quotations (`unquoted`).
    """

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events for a request; `ask` is the rest of the way to the model. Raises core errors only."""


AskVectors: TypeAlias = Callable[[Caller, EmbeddingRequest], Awaitable[Embeddings]]


class EmbeddingStage(Protocol):
    """What stands between a caller and a model that makes embeddings."""

    async def embed(self, caller: Caller, request: EmbeddingRequest, ask: AskVectors) -> Embeddings:
        """The vectors; `ask` is the rest of the way to the model. Raises core errors only."""


class Embedder(Protocol):
    """Who makes a model's embeddings. A model that writes text as well has an `Engine` besides."""

    @property
    def card(self) -> ModelCard:
        """What this model can do; its `context` is the longest text in tokens."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """A vector for each text. Raises core errors only; cancelling it takes back what has not been run yet."""

    @property
    def busy(self) -> int:
        """Requests under way."""

    async def start(self) -> None:
        """As an engine's."""

    async def close(self) -> None:
        """As an engine's."""

    @property
    def memory(self) -> int:
        """As an engine's, in bytes."""


class TextClassifier(Protocol):
    """Who judges texts for moderation."""

    @property
    def name(self) -> str:
        """What it is called in answers and records."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """From which score a category counts as flagged."""

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """Every text's scores. Raises core errors only."""

    async def explain(self, text: str, category: str) -> list[Span]:
        """The parts of a text that carry its score in a category, heaviest first."""

    def close(self) -> None:
        """Give everything back."""


class ImageClassifier(Protocol):
    """Who judges images for moderation."""

    async def judge(self, images: Sequence[ImageSource]) -> Sequence[Scores | None]:
        """Every image's scores in the categories that images have; None for one that it cannot judge."""


AskScores: TypeAlias = Callable[[Caller, ModerationRequest], Awaitable[Moderation]]


class ModerationStage(Protocol):
    """What stands between a caller and a classifier that is asked for its judgement alone."""

    async def judge(self, caller: Caller, request: ModerationRequest, ask: AskScores) -> Moderation:
        """How the items are judged; `ask` is the rest of the way. Raises core errors only."""


class Gate(Protocol):
    """What prompts pass that no text model reads, such as those of pictures and of speech, under the same policies as
    all that is asked. Ask it once per request, before any work is done or queued."""

    async def admit(
        self, caller: Caller, model: str, prompts: Sequence[str], images: Sequence[ImageSource] = ()
    ) -> list[str]:
        """The prompts as they may be used, in their order; `images` are what the model is to work on. The decision is
        recorded, and told in the caller's `origin.moderated`. Raises Flagged where a policy stops the request (403, or
        as the API says it), Busy where it could not be judged in time and that is not to pass, Denied and Invalid for a
        policy that does not exist."""
