"""Who runs the lines of batches: takes some, asks the model for each at low priority, keeps what came of them.

Rule: the store knows of every line whose it is and until when. A worker that is gone loses its lines to whoever asks
next; a result counts only from the one who still holds the line. So each line has exactly one result.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from haiga.core.access import Caller, Family, Origin
from haiga.core.embedding import EmbeddingRequest
from haiga.core.errors import Busy, Cancelled, Dead, Failed, HaigaError, Limited
from haiga.core.generation import Usage
from haiga.core.hours import Hours
from haiga.core.jobs import SUSPECT, TRIES, Line, Outcome, Prepared
from haiga.core.moderation import ModerationRequest
from haiga.core.policies import Moderated
from haiga.core.ports import BatchStore
from haiga.core.results import Reuse
from haiga.services.batches.forms import Form, Work, make_judged
from haiga.services.batches.sameness import digest_of, order_of
from haiga.services.inference import Inference
from haiga.services.rounds import Rounds

WIDTH = 32  # lines under way at once: enough to fill the engine's batch
PORTION = 8  # lines of one batch that are taken at once
LEASE = 10.0  # seconds after which a worker that says nothing has lost its lines
READ = 200  # lines read between two looks at what else is to do
POLL = 1.0  # seconds between two looks for what other processes brought
GRACE = 2.0  # seconds that what is being written may take when the worker stops
PAUSE = 1.0  # seconds to wait when the store cannot be written, or the engine has failed
ALWAYS = Hours()
log = logging.getLogger(__name__)


Holder: TypeAlias = Callable[[str | None, str], Awaitable[Caller]]


async def nobody(key: str | None, workspace: str) -> Caller:
    """A caller of the workspace, without limits."""
    return Caller(key, workspace)


class Worker:
    """Runs the lines in `store`, `width` at a time, from `start` to `close`. `forms` are by endpoint.

    `lease` is seconds, `holder` gives who holds a key, `clock` unix seconds; lines begin in the `hours` alone.
    """

    def __init__(
        self,
        inference: Inference,
        store: BatchStore,
        forms: Mapping[str, Form],
        new_id: Callable[[str], str],
        *,
        width: int = WIDTH,
        lease: float = LEASE,
        holder: Holder = nobody,
        hours: Hours = ALWAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inference = inference
        self._store = store
        self._forms = forms
        self._new_id = new_id
        self._width = width
        self._lease = lease
        self._holder = holder
        self.hours = hours
        self._clock = clock
        self._name = f"worker_{secrets.token_hex(8)}"
        trouble = "batches cannot go on yet"
        self._rounds = Rounds(self._name, self._turn, rest=self._rest, pause=PAUSE, trouble=trouble)
        self._unread = True
        self._renew_at = self._read_at = self._pause_until = float("-inf")
        self._running: dict[tuple[str, int], tuple[Line, asyncio.Task[None]]] = {}
        self._outcomes: list[Outcome] = []

    def start(self) -> None:
        self._rounds.start()

    def wake(self) -> None:
        """There is something new in the store."""
        self._unread = True
        self._renew_at = float("-inf")
        self._rounds.wake()

    async def close(self) -> None:
        """Stop, and give back what is under way for others to run at once."""
        await self._rounds.close(GRACE)
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self._store.finish(self._name, self._outcomes, self._now())
            await self._store.release(self._name)
        except Exception as problem:
            log.warning("batches: what was under way is given back late: %s", problem)

    # --- the loop ---

    async def _turn(self) -> bool:
        """Everything that is to do now; whether there is more of it."""
        if self._clock() >= self._renew_at:
            await self._look_around()
        if self._outcomes:
            await self._record()
        looks = self._unread or self._clock() >= self._read_at + POLL
        busy = await self._read_some() if looks else False
        await self._take_some()
        return busy

    def _rest(self) -> float:
        now = self._clock()
        paused = [self._pause_until] if self._pause_until > now else []
        return max(0.01, min(self._renew_at, self._read_at + POLL, *paused) - now)

    async def _look_around(self) -> None:
        """Hold on to what is under way, stop what was taken away, and see what time brought."""
        await self._store.renew(self._name, self._until())
        await self._store.sweep(self._now())
        held = await self._store.renew(self._name, self._until())
        self._renew_at = self._clock() + self._lease / 3
        self._unread = True
        for key in self._running.keys() - held:
            self._running[key][1].cancel()

    async def _record(self) -> None:
        outcomes = self._outcomes[:]
        await self._store.finish(self._name, outcomes, self._now())
        del self._outcomes[: len(outcomes)]

    # --- reading ---

    async def _read_some(self) -> bool:
        self._read_at = self._clock()
        lines = await self._store.unread(self._name, self._until(), READ)
        self._unread = len(lines) == READ
        if lines:
            held = [(await self._holder(line.key, line.workspace)).policy for line in lines]
            await self._store.prepare(self._name, await asyncio.to_thread(self._read_all, lines, held), self._now())
        return self._unread

    def _read_all(self, lines: Sequence[Line], held: Sequence[str | None]) -> list[Prepared]:
        return [self._read(line, policy) for line, policy in zip(lines, held, strict=True)]

    def _read(self, line: Line, policy: str | None) -> Prepared:
        """`policy` is the one that the line's key is held to: no line is to have what another one may not."""
        form = self._forms[line.endpoint]
        try:
            asked = form.read(line)
            card = self._inference.model(_caller(line), asked.model)
            work = asked.work(card)
        except HaigaError as error:
            return Prepared(line, error=form.failed(error, id=self._new_id("req")))
        except Exception:
            log.exception("unexpected error in line %s of batch %s", line.custom_id, line.batch)
            return Prepared(line, error=form.failed(Failed("Internal server error"), id=self._new_id("req")))
        form_of_answer = f"{line.endpoint} {asked.written} {policy} {line.rules.policy}"
        digest = digest_of(work, card, form_of_answer, line.workspace, line.rules.dedupe)
        return Prepared(line, order_of(work, card.name), digest)

    # --- running ---

    async def _take_some(self) -> None:
        """Fill what is free. A line that may be what kills the engine runs with no other beside it."""
        room = self._width - len(self._running)
        alone = any(line.tries > SUSPECT for line, _ in self._running.values())
        if room <= 0 or alone or self._clock() < self._pause_until or not self.hours.open(self._clock()):
            return
        while room > 0 and (lines := await self._claim(min(room, PORTION), suspects=False)):
            room -= len(lines)
        if not self._running:
            await self._claim(1, suspects=True)

    async def _claim(self, limit: int, suspects: bool) -> list[Line]:
        lines = await self._store.claim(self._name, self._until(), limit, suspects)
        for line in lines:
            self._begin(line)
        return lines

    def _begin(self, line: Line) -> None:
        key = (line.batch, line.position)

        def over(task: asyncio.Task[None]) -> None:
            del self._running[key]
            self._rounds.wake()

        task = asyncio.create_task(self._run(line))
        self._running[key] = line, task
        task.add_done_callback(over)

    async def _run(self, line: Line) -> None:
        try:
            outcome = await self._answer(line)
        except (Busy, Limited) as error:
            self._pause_until = self._clock() + error.retry_after
            outcome = Outcome(line, counted=False)
        except (Dead, Failed, Cancelled) as error:
            # of no fault of the request's, as far as anyone knows: the engine may only be starting again
            self._pause_until = self._clock() + PAUSE
            outcome = Outcome(line) if line.tries < TRIES else self._failure(line, error)
        except HaigaError as error:
            outcome = self._failure(line, error)
        except Exception:
            log.exception("unexpected error in line %s of batch %s", line.custom_id, line.batch)
            outcome = self._failure(line, Failed("Internal server error"))
        self._outcomes.append(outcome)

    async def _answer(self, line: Line) -> Outcome:
        asked = self._forms[line.endpoint].read(line)
        caller = replace(await self._holder(line.key, line.workspace), origin=_origin(line))
        card = self._inference.model(caller, asked.model)
        try:
            work = _at_low_priority(asked.work(card))
            made, usage, beside = await make_judged(self._inference, caller, work, asked)
        except HaigaError as error:
            raise asked.placed(error) from None
        result = asked.succeeded(made, beside, model=card.name, created=self._now(), new_id=self._new_id)
        computed = Usage() if usage.reused else usage
        return Outcome(
            line,
            "succeeded",
            result,
            computed.output,
            input_tokens=computed.prompt,
            cached_tokens=computed.cache_read,
            reasoning_tokens=computed.thinking,
        )

    def _failure(self, line: Line, error: HaigaError) -> Outcome:
        return Outcome(line, "errored", self._forms[line.endpoint].failed(error, id=self._new_id("req")))

    def _now(self) -> int:
        return int(self._clock())

    def _until(self) -> int:
        return int(self._clock() + self._lease) + 1


def _at_low_priority(work: Work) -> Work:
    if isinstance(work, EmbeddingRequest | ModerationRequest):
        return work
    return [replace(request, priority="batch") for request in work]


def _caller(line: Line) -> Caller:
    return Caller(workspace=line.workspace)


def _origin(line: Line) -> Origin:
    family: Family = "anthropic" if line.endpoint == "/v1/messages" else "openai"
    reuse, moderated = Reuse(line.rules.dedupe != "off"), Moderated(line.rules.policy)
    return Origin(family=family, endpoint=line.endpoint, batch=True, reuse=reuse, moderated=moderated)
