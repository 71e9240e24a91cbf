"""Our engine, seen from the server: a request to tokens, tokens to events.

Rule: here text and tokens meet. The engine process schedules and samples; this side templates, tokenises, turns
token ids back into text, finds stop strings, and says what was used.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from haiga.core.errors import Busy, Invalid
from haiga.core.generation import (
    Event,
    Sampling,
    TextRequest,
    resolve,
)
from haiga.core.ports import ModelCard
from haiga.engines.native.embedder import NativeEmbedder
from haiga.engines.native.process import EngineProcess
from haiga.engines.native.protocol import Submission
from haiga.engines.native.reading import Reading
from haiga.engines.native.speech import Speech
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


class NativeEngine:
    """A model run by an engine process of its own.

    `command` starts that process; `memory` is the bytes it is expected to hold (weights, KV pool, overhead); at most
    `queue` requests are taken at once, the next ones are told to come back. `embedder` makes the model's embeddings,
    where it can.
    """

    def __init__(
        self,
        model: Model,
        command: list[str],
        memory: int,
        queue: int = 256,
        embedder: NativeEmbedder | None = None,
    ) -> None:
        self.embedder = embedder
        self._model = model
        self._memory = memory
        self._queue = queue
        self._busy = 0
        self._process = EngineProcess(model.card.name, command)

    @property
    def card(self) -> ModelCard:
        return self._model.card

    @property
    def memory(self) -> int:
        return self._memory

    @property
    def busy(self) -> int:
        return self._busy

    @property
    def pool(self) -> int:
        """Tokens that the KV pool holds."""
        return self._model.pool

    @property
    def process(self) -> EngineProcess:
        return self._process

    async def start(self) -> None:
        ready = await self._process.start()
        self._memory = max(self._memory, ready.memory)  # the KV pool's pages come in as they are first used

    async def close(self) -> None:
        await self._process.close()

    async def count(self, request: TextRequest) -> int:
        return len((await self._prompt(request)).tokens)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        if self._busy >= self._queue:
            raise Busy(f"the queue of model {self.card.name} is full ({self._queue} requests)", retry_after=1)
        self._busy += 1
        try:
            async with aclosing(self._answer(request)) as events:
                async for event in events:
                    yield event
        finally:
            self._busy -= 1

    async def _answer(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        prompt = await self._prompt(request)
        self._require_room(len(prompt.tokens), request)
        speech = self._model.speech
        submission = await asyncio.to_thread(self._submission, request, prompt)
        stream = speech.stream(request, prompt)
        reading = Reading(speech.tokenizer, speech.detokenizer(prompt), stream, len(prompt.tokens))
        answer = await self._process.open(submission)
        try:
            while not reading.finished:
                for update in await answer.take():
                    for event in reading.feed(update):
                        yield event
        finally:
            self._process.discard(submission.id, finished=reading.ended_by_engine)

    async def _prompt(self, request: TextRequest) -> Prompt:
        return await asyncio.to_thread(self._model.prompter.prompt, request, self.card.context - 1)

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

    def _submission(self, request: TextRequest, prompt: Prompt) -> Submission:
        sampling = resolve(request.sampling, self._model.sampling)
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbits(63))
        return Submission(
            id=self._process.next_id(),
            tokens=prompt.tokens,
            sampling=sampling,
            max_tokens=request.max_tokens,
            ends=self._model.ends,
            priority=request.priority,
            salt=request.workspace,
            breakpoints=prompt.breakpoints,
            grammar=self._model.speech.grammar(request, prompt),
            thought=self._model.speech.thought(request, prompt),
        )
