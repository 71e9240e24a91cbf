"""Our engine, seen from the server: a request to tokens, tokens to events.

Rule: here text and tokens meet. The engine process schedules and samples; this side templates, tokenises, turns
token ids back into text, finds stop strings, and says what was used.
"""

import secrets
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import orjson

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import (
    Event,
    Sampling,
    TextRequest,
    resolve,
)
from haiga.core.load import Load
from haiga.core.ports import ModelCard
from haiga.engines.native.echoing import Echoing
from haiga.engines.native.embedder import NativeEmbedder
from haiga.engines.native.hosted import Hosted
from haiga.engines.native.lanes import characters
from haiga.engines.native.protocol import Mounted, Plant, Submission
from haiga.engines.native.queue import Place, Queue
from haiga.engines.native.reading import Reading
from haiga.engines.native.speech import Speech
from haiga.engines.supervised import child_command
from haiga.models.adapters import Linear, linear_layers
from haiga.models.ir import is_ir
from haiga.models.sources import open_tensors
from haiga.text.prompt import Prompt, Prompter


@dataclass(frozen=True, slots=True)
class Model:
    """What the server's side knows of a model: its card, how it reads, how it is sampled, which tokens end it, and
    how many tokens its KV pool holds."""

    card: ModelCard
    prompter: Prompter
    speech: Speech
    sampling: Sampling
    ends: tuple[int, ...]
    pool: int


class NativeEngine(Hosted):
    """A model that writes text, run as `plant` says, for which at most `queue` requests wait. `embedder` makes its
    embeddings, where it can; the others as in `Hosted`."""

    def __init__(
        self,
        model: Model,
        plant: Plant,
        memory: int,
        queue: int = 256,
        embedder: NativeEmbedder | None = None,
        saving: float = 0.0,
    ) -> None:
        super().__init__(model.card, _command(plant), memory, saving)
        self.embedder = embedder
        self._queue = Queue(model.card.name, queue)
        self._model = model
        self._plant = plant
        self._for_adapters = 0

    @property
    def pool(self) -> int:
        """Tokens that the KV pool holds."""
        return self._model.pool

    @property
    def load(self) -> Load:
        return Load(**self._process.stats)

    async def count(self, request: TextRequest) -> int:
        return len((await self._prompt(request)).tokens)

    @property
    def plant(self) -> Plant:
        """What its process is told to run when it starts the next time."""
        return self._plant

    @cached_property
    def layers(self) -> Mapping[str, Linear]:
        """The layers that adapters may change, by name. Raises Unsupported for an exported IR."""
        directory = Path(self._plant.directory)
        if is_ir(directory):
            raise Unsupported(f"model {self.card.name} takes no adapters: it is an exported IR")
        return linear_layers(open_tensors(directory))

    def expect(self, layers: Collection[str], slots: int) -> None:
        """Adapters change these layers: a process that starts from now on has a place for them at once. Those that run
        take up to `slots` bytes."""
        self._plant = replace(self._plant, adapted=sorted({*self._plant.adapted, *layers}))
        self._process.run_as(_command(self._plant))
        self._memory += max(0, slots - self._for_adapters)
        self._for_adapters = max(slots, self._for_adapters)

    async def generate(self, request: TextRequest, adapter: Mounted | None = None) -> AsyncGenerator[Event, None]:
        """As every engine's; with `adapter` as that changes the model."""
        with self._place(), self._queue.place(counted=request.priority != "batch") as place:
            async with aclosing(self._answer(request, place, adapter)) as events:
                async for event in events:
                    yield event

    async def _answer(self, request: TextRequest, place: Place, adapter: Mounted | None) -> AsyncGenerator[Event, None]:
        prompt = await self._prompt(request)
        self._require_room(len(prompt.tokens), request)
        speech = self._model.speech
        submission = await self._lanes.run(0, self._submission, request, prompt, adapter)
        stream = speech.stream(request, prompt)
        echo = await self._lanes.run(characters(request), self._echo, request, prompt) if request.echo else None
        reading = Reading(speech.tokenizer, speech.detokenizer(prompt), stream, len(prompt.tokens), echo)
        answer = await self._process.open(submission)
        try:
            while not reading.finished:
                for update in await answer.take():
                    self._queue.begin(place)
                    for event in reading.feed(update):
                        yield event
        finally:
            self._process.discard(submission.id, finished=reading.ended_by_engine)

    async def _prompt(self, request: TextRequest) -> Prompt:
        return await self._lanes.run(characters(request), self._model.prompter.prompt, request, self.card.context - 1)

    def _require_room(self, size: int, request: TextRequest) -> None:
        """Raise Invalid when a prompt of `size` tokens leaves too little of the context."""
        context = self.card.context
        if size >= context:
            raise Invalid(f"prompt is too long: {size} tokens > {context - 1} maximum")
        if request.overflow == "refuse" and size + request.max_tokens > context:
            raise Invalid(
                f"input length and `max_tokens` exceed context limit: {size} + {request.max_tokens} > {context},"
                " decrease input length or `max_tokens` and try again"
            )

    def _submission(self, request: TextRequest, prompt: Prompt, adapter: Mounted | None) -> Submission:
        sampling = resolve(request.sampling, self._model.sampling)
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbits(63))
        return Submission(
            id=self._process.next_id(),
            tokens=prompt.tokens,
            sampling=sampling,
            max_tokens=request.max_tokens,
            ends=(*self._model.ends, *prompt.ends),
            priority=request.priority,
            salt=request.workspace,
            owner=request.workspace,
            breakpoints=prompt.breakpoints,
            grammar=self._model.speech.grammar(request, prompt),
            thought=self._model.speech.thought(request, prompt),
            prediction=self._model.speech.prediction(request),
            scored=request.echo and sampling.logprobs is not None,
            pictures=prompt.pictures,
            adapter=adapter,
        )

    def _echo(self, request: TextRequest, prompt: Prompt) -> Echoing | None:
        return Echoing(self._model.speech.tokenizer, request.raw, prompt.tokens) if request.raw is not None else None


def _command(plant: Plant) -> list[str]:
    return child_command("haiga.engines.native.child", orjson.dumps(asdict(plant)).decode())
