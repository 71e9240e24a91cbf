"""Our engine, seen from the server: a request to tokens, tokens to events.

Rule: here text and tokens meet. The engine process schedules and samples; this side templates, tokenises, turns
token ids back into text, finds stop strings, and says what was used.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace

from haiga.core.errors import Busy, Invalid
from haiga.core.generation import (
    Event,
    Finished,
    Progress,
    Sampling,
    Started,
    StopReason,
    TextRequest,
    TokenLogprob,
    Usage,
    resolve,
)
from haiga.core.ports import ModelCard
from haiga.engines.native.process import EngineProcess
from haiga.engines.native.protocol import Submission, Update
from haiga.text.detokenizer import Detokenizer
from haiga.text.prompt import Prompt, Prompter
from haiga.text.stream import AnswerStream
from haiga.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Model:
    """What the server's side knows of a model: its card, how it reads, how it is sampled, which tokens end it, and
    how many tokens its KV pool holds."""

    card: ModelCard
    tokenizer: Tokenizer
    prompter: Prompter
    sampling: Sampling
    ends: tuple[int, ...]
    pool: int


class NativeEngine:
    """A model run by an engine process of its own.

    `command` starts that process; `memory` is the bytes it is expected to hold (weights, KV pool, overhead); at most
    `queue` requests are taken at once, the next ones are told to come back.
    """

    def __init__(self, model: Model, command: list[str], memory: int, queue: int = 256) -> None:
        self._model = model
        self._memory = memory
        self._queue = queue
        self._process = EngineProcess(model.card.name, command)

    @property
    def card(self) -> ModelCard:
        return self._model.card

    @property
    def memory(self) -> int:
        return self._memory

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
        if self._process.in_flight >= self._queue:
            raise Busy(f"the queue of model {self.card.name} is full ({self._queue} requests)", retry_after=1)
        prompt = await self._prompt(request)
        self._require_room(len(prompt.tokens), request)
        submission = self._submission(request, prompt)
        reading = _Reading(self._model.tokenizer, request, len(prompt.tokens))
        answer = await self._process.open(submission)
        try:
            while not reading.finished:
                for update in await answer.take():
                    for event in reading.feed(update):
                        yield event
        finally:
            self._process.discard(submission.id, finished=reading.ended_by_engine)

    async def _prompt(self, request: TextRequest) -> Prompt:
        return await asyncio.to_thread(self._model.prompter.prompt, request)

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
        )


class _Reading:
    """One answer being read: updates from the engine in, events out."""

    def __init__(self, tokenizer: Tokenizer, request: TextRequest, prompt: int) -> None:
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._stream = AnswerStream(request.stop)
        self._prompt = prompt
        self._started = False
        self._usage = Usage()
        self.finished = False
        self.ended_by_engine = False

    def feed(self, update: Update) -> Iterator[Event]:
        """Events of one update; sets `finished` once the answer is complete."""
        if not self._started:
            self._started = True
            self._usage = replace(update.usage, output=0)
            yield Started(self._usage)
        elif not update.tokens and not update.stop:
            yield Progress(update.prefilled, self._prompt)
        self.ended_by_engine = update.stop is not None
        yield from self._text(update)
        if not self.finished and update.stop:
            yield from self._end(update.stop)

    def _text(self, update: Update) -> Iterator[Event]:
        """Text of the update's tokens one by one, so that usage ends exactly where a stop string was complete."""
        for position, token in enumerate(update.tokens):
            self._usage = replace(self._usage, output=self._usage.output + 1)
            yield from self._stream.feed(self._detokenizer.add([token]), self._logprobs(update, position))
            if self._stream.matched is not None:
                yield from self._end("stop_sequence")
                return

    def _end(self, stop: StopReason) -> Iterator[Event]:
        yield from self._stream.feed(self._detokenizer.finish())
        yield from self._stream.finish()
        matched = self._stream.matched
        self.finished = True
        yield Finished("stop_sequence" if matched is not None else stop, self._usage, matched)

    def _logprobs(self, update: Update, position: int) -> tuple[TokenLogprob, ...]:
        if not update.logprobs:
            return ()
        text = self._tokenizer.token_text
        logprob, token = update.logprobs[position], update.tokens[position]
        top = tuple((other, text(other), value) for other, value in logprob.best)
        return (TokenLogprob(token, text(token), logprob.own, top),)
