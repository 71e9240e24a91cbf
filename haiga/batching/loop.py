"""The one thread that owns a Runner: commands in, steps while there is work, one list of outputs per step.

The rule of this file: only the thread in `run` touches the runner and the scheduler. Everybody else puts a command on
the queue. Every submitted request gets exactly one last output: a stop reason or an error. Nothing that grows with
the length of a text happens here per token, and the callback must not either: it is called between two steps.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from haiga.batching.cold import Cold, Stored
from haiga.batching.sampler import Choice, Draw, Floats, Ids, Sampler, check
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request, Sequence
from haiga.batching.step import Advance, Plan
from haiga.core.errors import Busy, Cancelled, Dead, Failed, HaigaError
from haiga.core.generation import Sampling, StopReason, Usage
from haiga.core.load import Load
from haiga.core.ports import Row, Runner

_FATAL = 3  # failed steps in a row
_IDLE_CHECK = 1.0  # seconds without work after which the pool is checked once, and what is not kept outside it yet is
_SAVING = 5.0  # seconds that the end waits for blocks to be written
_BREATH = 0.02  # seconds between two looks whether there is room for a block to be written


class Constraint(Protocol):
    """Which tokens may come next in one sequence: a grammar's state."""

    def mask(self) -> NDArray[np.int32] | None:
        """One bit per token, 1 for allowed: bit i % 32 of word i // 32. None for any token."""

    def accept(self, token: int) -> None:
        """This token was chosen."""


@dataclass(frozen=True, slots=True)
class Output:
    """What one step did for one request. The last one has a `stop` or an `error`.

    choices: new tokens, an end token included. scores: further tokens of the prompt, with their log probabilities,
    where those are wanted; there is none for the first. usage: None until the request was admitted, from then on its
    prompt part does not change. prefilled: prompt tokens computed or reused so far. waited: seconds until it was
    admitted, with its first output; ran: seconds from then to that output.
    """

    id: str
    choices: tuple[Choice, ...] = ()
    stop: StopReason | None = None
    error: HaigaError | None = None
    usage: Usage | None = None
    prefilled: int = 0
    scores: tuple[Choice, ...] = ()
    waited: float = 0.0
    ran: float = 0.0


@dataclass(slots=True)
class _Live:
    """What the loop keeps of a request beside the scheduler's sequence."""

    request: Request
    sampling: Sampling
    seed: int
    constraint: Constraint | None
    prompt: Ids
    arrived: float
    output: list[int] = field(default_factory=list)
    admitted: bool = False

    def read(self, sampler: Sampler, row: Row, logits: Floats) -> "_Read":
        """What a row's logits say. Behind a draft, tokens are chosen as long as the draft was right."""
        prompt = self.request.prompt
        first = row.past + len(row.tokens) - row.sampled + 1  # the place that the first logits decide
        scores: list[Choice] = []
        choices: list[Choice] = []
        for place, each in enumerate(logits, first):
            if place < len(prompt):
                scores.append(sampler.score(each, prompt[place], self.sampling.logprobs or 0))
                continue
            if not self.request.max_tokens:
                break
            choices.append(self._choose(sampler, each))
            token = choices[-1].token
            drafted = row.tokens[place - row.past : place - row.past + 1]
            if token in self.request.end or token not in drafted:
                break
        return _Read(tuple(choices), tuple(scores))

    def _choose(self, sampler: Sampler, logits: Floats) -> Choice:
        mask = self.constraint.mask() if self.constraint else None
        draw = Draw(self.sampling, self.seed, len(self.output), self.prompt, self.output, mask)
        choice = sampler.choose(logits, draw)
        self.output.append(choice.token)
        if self.constraint:
            self.constraint.accept(choice.token)
        return choice


@dataclass(frozen=True, slots=True)
class _Read:
    """What one row's logits came to."""

    choices: tuple[Choice, ...] = ()
    scores: tuple[Choice, ...] = ()


class Loop:
    """Runs requests on `runner` until it is shut down; `deliver` gets the outputs of each step on the loop's thread,
    and none after blocks were kept in idle time. `cold` keeps blocks outside the pool; the scheduler has it too."""

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        deliver: Callable[[list[Output]], None],
        clock: Callable[[], float] = time.monotonic,
        cold: Cold | None = None,
    ) -> None:
        self._runner = runner
        self._cold = cold
        self._scheduler = scheduler
        self._deliver = deliver
        self._clock = clock
        self._sampler = Sampler(runner.vocabulary)
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._live: dict[str, _Live] = {}
        self._outbox: list[Output] = []
        self._open = True
        self._failures = 0
        self._counts = dict.fromkeys(
            ("steps", "failed_steps", "computed_tokens", "reused_tokens", "restored_tokens", "generated_tokens"), 0
        )
        self._busy = 0.0
        self.stats = Load()

    # -- from any thread ---------------------------------------------------------------------------------------------

    def submit(self, request: Request, sampling: Sampling, constraint: Constraint | None = None) -> None:
        """Queue a request. What is wrong with it comes back as the error of its only output."""
        self._commands.put(partial(self._submit, request, sampling, constraint))

    def abort(self, identifier: str) -> None:
        """End a request with Cancelled before the next step; nothing happens when it has ended already."""
        self._commands.put(partial(self._end, identifier, Cancelled("the request was aborted")))

    def clear_cache(self) -> None:
        """Forget every KV block that no request is using, pinned ones too, and all that are outside the pool."""
        self._commands.put(self._clear)

    def forget(self, owner: bytes) -> None:
        """Forget this owner's KV blocks that no request is using; `owner` is its mark."""
        self._commands.put(partial(self._scheduler.forget, owner))

    def wake(self) -> None:
        """Blocks have arrived from outside the pool."""
        self._commands.put(_nothing)

    def call(self, work: Callable[[], None]) -> None:
        """Have something done between two steps, on the loop's thread, before what is asked for later."""
        self._commands.put(work)

    def shutdown(self, drain: bool = True) -> None:
        """Take no more requests (they end with Busy), finish those under way or, without `drain`, end them with
        Cancelled; then `run` returns. A second call can cut a drain short."""
        self._commands.put(partial(self._shut, drain))

    # -- on the loop's thread ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until shut down, then close the runner. Raises Dead when step after step fails; every request has had
        its last output then."""
        try:
            while self._take_commands():
                self._step()
            self._refuse_late_comers()
            self._keep(time.monotonic() + _SAVING)
        finally:
            self._refuse_late_comers()
            if self._cold:
                self._cold.close(_SAVING)
            self._runner.close()

    def _refuse_late_comers(self) -> None:
        self._open = False
        while not self._commands.empty():
            self._commands.get()()
        self._flush()

    def _take_commands(self) -> bool:
        """Carry out what is queued, sleeping while there is nothing else to do; False when all is over."""
        while True:
            self._flush()  # first, so that what `deliver` asks for happens before the next step
            while not self._commands.empty():
                self._commands.get()()
            self._take_arrived()
            if self._outbox:
                continue
            if self._live or not self._open:
                return bool(self._live)
            self._sleep()

    def _sleep(self) -> None:
        try:
            command = self._commands.get(timeout=_IDLE_CHECK)
        except Empty:
            self._scheduler.check_integrity()
            self._keep()
            command = self._commands.get()
        command()

    def _keep(self, until: float = float("inf")) -> None:
        """Put what is not kept outside the pool yet there, as long as nothing else is to be done."""
        if self._cold is None:
            return
        for each in self._scheduler.known()[: self._cold.capacity]:
            while self._cold.full and not self._disturbed(until):
                time.sleep(_BREATH)
            if self._disturbed(until):
                return
            self._save(each)
        self._flush()
        self._deliver([])  # what is told of the engine has changed

    def _disturbed(self, until: float) -> bool:
        return time.monotonic() > until or (self._open and not self._commands.empty())

    def _save(self, block: Stored) -> None:
        """Hand a block over to be kept, if it is to be."""
        if self._cold and self._cold.wants(block.address, block.local):
            self._cold.put(block.address, block.local, self._runner.copy_out(block.block, block.local))

    def _take_arrived(self) -> None:
        """Blocks from outside the pool go to their places."""
        for fetch, content in self._cold.arrived() if self._cold else ():
            if fetch.dropped:
                continue
            if content is not None:
                self._runner.copy_in(fetch.block, fetch.local, content)
                self._counts["restored_tokens"] += 0 if fetch.local else self._scheduler.pool.block_size
            self._scheduler.arrived(fetch, content is not None, self._clock())

    def _clear(self) -> None:
        self._scheduler.clear()
        if self._cold:
            self._cold.clear()

    def _flush(self) -> None:
        scheduler, pool = self._scheduler, self._scheduler.pool
        self.stats = Load(
            running=scheduler.running,
            waiting=scheduler.waiting,
            blocks=pool.count,
            free_blocks=pool.free_count,
            cached_blocks=pool.cached_count,
            preemptions=scheduler.preemptions,
            busy=self._busy,
            **self._counts,
            **(self._cold.stats if self._cold else {}),
        )
        if self._outbox:
            outputs, self._outbox = self._outbox, []
            self._deliver(outputs)

    def _submit(self, request: Request, sampling: Sampling, constraint: Constraint | None) -> None:
        try:
            if not self._open:
                raise Busy("the engine is shutting down")
            check(sampling, self._runner.vocabulary)
            self._scheduler.add(request)
        except HaigaError as error:
            self._outbox.append(Output(request.id, error=error))
            return
        seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
        repeats = request.prompt if sampling.repetition_penalty != 1 else ()
        prompt = np.unique(np.asarray(repeats, np.intp))
        self._live[request.id] = _Live(request, sampling, seed, constraint, prompt, self._clock())

    def _shut(self, drain: bool) -> None:
        self._open = False
        if not drain:
            self._end_all(self._live, Cancelled("the engine is shutting down"))

    def _end(self, identifier: str, error: HaigaError) -> None:
        if self._live.pop(identifier, None):
            self._scheduler.abort(identifier)
            self._outbox.append(Output(identifier, error=error))

    def _end_all(self, identifiers: Iterable[str], error: HaigaError) -> None:
        for identifier in list(identifiers):
            self._end(identifier, error)

    def _step(self) -> None:
        began = self._clock()
        plan = self._scheduler.plan(began)
        if plan.fetches and self._cold:
            self._cold.fetch(plan.fetches)
        if not plan.rows:  # all that could run wait for blocks: there is nothing to do until one comes
            self._commands.get()()
            return
        try:
            logits = self._runner.step(plan.rows)
        except Exception as error:  # a runner may raise anything; the requests of this step alone pay for it
            self._fail(plan, error)
            return
        self._failures = 0
        read = list(self._read_all(plan, logits))
        ended = self._clock()
        self._finish(plan, read, began, ended)
        self._busy += ended - began

    def _read_all(self, plan: Plan, logits: Floats) -> Iterator[_Read]:
        at = 0
        for row, sequence in plan.sampled:
            yield self._read(row, sequence, logits[at : at + row.sampled])
            at += row.sampled

    def _read(self, row: Row, sequence: Sequence, logits: Floats) -> _Read:
        """What follows, or nothing and the request has failed: one bad grammar does not stop the others."""
        try:
            return self._live[sequence.request.id].read(self._sampler, row, logits)
        except Exception as error:
            reason = error if isinstance(error, HaigaError) else Failed(f"no token could be chosen: {error}")
            self._end(sequence.request.id, reason)
            return _Read()

    def _finish(self, plan: Plan, read: list[_Read], began: float, now: float) -> None:
        chosen = [[choice.token for choice in each.choices] for each in read]
        advances = self._scheduler.commit(plan, chosen, now)
        told = {sequence.request.id: each for (_, sequence), each in zip(plan.sampled, read, strict=True)}
        self._outbox += [self._output(advance, told.get(advance.id, _Read()), began, now) for advance in advances]
        for advance in advances:
            for block in advance.stored:
                self._save(block)
            if self._cold and advance.used:
                self._cold.used(advance.used)
        self._counts["steps"] += 1
        self._counts["computed_tokens"] += sum(len(row.tokens) for row in plan.rows)
        self._counts["generated_tokens"] += sum(len(advance.tokens) for advance in advances)

    def _output(self, advance: Advance, read: _Read, began: float, now: float) -> Output:
        live = self._live[advance.id]
        waited, ran = 0.0, 0.0
        if not live.admitted:
            live.admitted = True
            waited, ran = began - live.arrived, now - began
            self._counts["reused_tokens"] += advance.usage.cache_read
        if advance.stop:
            del self._live[advance.id]
        accepted = read.choices[: len(advance.tokens)]
        return Output(
            advance.id, accepted, advance.stop, None, advance.usage, advance.prefilled, read.scores, waited, ran
        )

    def _fail(self, plan: Plan, error: Exception) -> None:
        self._failures += 1
        self._counts["failed_steps"] += 1
        reason = error if isinstance(error, HaigaError) else Failed(f"a step failed: {error}")
        self._end_all([sequence.request.id for sequence in plan.sequences], reason)
        if self._failures >= _FATAL:
            dead = Dead(f"{self._failures} steps in a row failed, the last with: {error}")
            self._end_all(self._live, dead)
            raise dead from error


def _nothing() -> None:
    """A command that only wakes the loop."""
