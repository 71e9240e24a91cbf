"""What an endpoint's lines are to a worker: the seam between batches and the APIs whose requests they hold."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import HaigaError
from haiga.core.generation import Reply, TextRequest, Usage, together
from haiga.core.jobs import Line
from haiga.core.moderation import Moderation, ModerationRequest
from haiga.core.ports import ModelCard
from haiga.services.choices import asked_by, interleave, replies
from haiga.services.inference import Inference
from haiga.services.moderation.beside import BesideJudge
from haiga.wire.openai_moderations.beside import Beside, Wanted

Work: TypeAlias = Sequence[TextRequest] | EmbeddingRequest | ModerationRequest
Made: TypeAlias = Sequence[Reply] | Embeddings | Moderation


class Asked(Protocol):
    """A line that was read."""

    @property
    def model(self) -> str:
        """The model that it names."""

    @property
    def each(self) -> int:
        """How many answers it wants to one prompt."""

    @property
    def written(self) -> str:
        """How its answer is to be written, where that does not show in what the model is asked: only lines that are
        the same in this can share an answer."""

    @property
    def judged(self) -> Wanted | None:
        """The judgements that it wants beside its answer."""

    def work(self, card: ModelCard) -> Work:
        """What the model is asked: for several answers, or for vectors. Raises Invalid."""

    def placed(self, error: HaigaError) -> HaigaError:
        """The error with its field named as the line names it."""

    def succeeded(self, made: Made, beside: Beside, *, model: str, created: int, new_id: Callable[[str], str]) -> bytes:
        """The result as JSON, with what else is told of the answer."""


class Form(Protocol):
    """How an endpoint's lines are read, and their failures written as JSON."""

    def read(self, line: Line) -> Asked:
        """Raises Invalid and Unsupported."""

    def failed(self, error: HaigaError, *, id: str) -> bytes:
        """The result of a line that was not answered; `id` is the request's."""


async def make_judged(inference: Inference, caller: Caller, work: Work, asked: Asked) -> tuple[Made, Usage, Beside]:
    """As `make`, with the judgements that are wanted beside the answers."""
    beside: Beside = {}
    if asked.judged is None or isinstance(work, EmbeddingRequest | ModerationRequest):
        return *await make(inference, caller, work, asked.each), beside
    judge = BesideJudge(inference, caller, work[0], asked.judged)
    made, usage = await make(inference, caller, work, asked.each)
    assert not isinstance(made, Embeddings | Moderation)
    await judge.tell(beside, made)
    return made, usage, beside


async def make(inference: Inference, caller: Caller, work: Work, each: int) -> tuple[Made, Usage]:
    """The answers, and what they used. Raises core errors."""
    if isinstance(work, EmbeddingRequest):
        vectors = await inference.embed(caller, work)
        return vectors, Usage(input=vectors.tokens)
    if isinstance(work, ModerationRequest):
        judged = await inference.judge(caller, work)
        return judged, Usage(input=judged.tokens)
    callers = asked_by(caller, work, each)
    events = [inference.generate(by, request) for by, request in zip(callers, work, strict=True)]
    made = await replies(interleave(events, each))
    return made, together([reply.usage for reply in made], each)
