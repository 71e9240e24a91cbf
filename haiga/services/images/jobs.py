"""Jobs that make pictures, for those who ask for them.

Rule: a job is safe in the store before its caller hears of it; each has exactly one last state. A caller sees the jobs
of its workspace, as if there were no others.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, nullcontext, suppress
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.errors import Dead, Invalid, Limited, NotFound, Unsupported
from haiga.core.images import ImageRequest
from haiga.core.painting import ImageJob, JobFilter, JobState, KeptPicture, Reason, Seen
from haiga.core.palette import Palette
from haiga.core.pictures import Picture
from haiga.core.ports import BlobStore, Gate, JobStore, ModelCard
from haiga.services.images.asking import Wish, admitted, check, error_of, is_again, pictures_of, seed_of
from haiga.services.images.board import Board, owner_of
from haiga.services.images.keeping import Asked, Keeping, write_asked
from haiga.services.images.runner import Runner
from haiga.services.images.tally import Tally
from haiga.services.images.wildcards import with_wildcards
from haiga.services.models import Models

LEASE = 30.0  # seconds after which the jobs of a server that is gone may be taken over
LOOK = 1.0  # seconds between two looks at a job that another server has
TIDY = 3600.0  # seconds between two looks for what is too old
WEEK = 7 * 24 * 3600.0
MOST = 100  # jobs of one key that are not done
SEEDS = 1 << 32
NO_NAMES = Palette()
log = logging.getLogger(__name__)


class Jobs:
    """Jobs in `store`, their pictures in `blobs`. `card` gives the model that answers to a name, for a caller; prompts
    pass the `gate`. `names`: what samplers and their sigmas are called. `cards`: the lines that wildcards stand for, by
    name, looked up in a thread. `missing`: why this server makes no pictures at all. `most`: jobs of one key that are
    not done; `keep`: seconds that jobs are kept. `discard` removes blobs that nobody uses any more; `tally` holds jobs
    to limits and records them. `shared`: other servers have jobs in the store, too. `clock` gives unix seconds."""

    def __init__(
        self,
        models: Models,
        store: JobStore,
        blobs: BlobStore,
        card: Callable[[Caller, str], ModelCard],
        *,
        names: Palette = NO_NAMES,
        cards: Callable[[], Mapping[str, Sequence[str]]] = dict,
        gate: Gate | None = None,
        missing: str | None = None,
        most: int = MOST,
        keep: float = WEEK,
        discard: Callable[[Sequence[str]], Awaitable[None]] | None = None,
        tally: Tally | None = None,
        shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._store = store
        self._card = card
        self._names = names
        self._cards = cards
        self._gate = gate
        self._missing = missing
        self.most = most
        self.keep = keep
        self._discard = discard
        self._tally = tally
        self._shared = shared
        self._clock = clock
        self._last = 0
        self._board = Board()
        self._keeping = Keeping(blobs)
        self._runner = Runner(self._board, models, store, self._keeping, tally, clock)
        self._tasks: list[asyncio.Task[None]] = []

    # --- what callers do ---

    async def submit(self, caller: Caller, request: ImageRequest, wish: Wish | None = None) -> Seen:
        """A new job. One that is asked for again, with the same id and all else, is the job that there is.

        Raises Unsupported for a model that makes no pictures, Limited for more jobs than a key may have and Limited and
        Exhausted for what it may use, Invalid, NotFound, Denied, Flagged."""
        wish = wish or Wish()
        check(caller, request, wish, self._names)
        there = None if wish.id is None else await self._store.get(caller.workspace, wish.id)
        if request.seed is None:
            request = replace(request, seed=seed_of(there) if there else secrets.randbelow(SEEDS))
        asked = Asked(await self._admitted(caller, request), wish.kind, wish.quality)
        job, pictures = self._job(caller, asked, wish)
        if there is not None:
            if not is_again(there, job):
                raise Invalid(f"there is another job {job.id} already", field="id", code="job_exists")
            return self._board.seen(there, self._clock())
        if self._board.owned(owner_of(job)) >= self.most:
            raise Limited(f"there are {self.most} jobs of this API key that are not done", retry_after=LOOK)
        held = self._tally.begin(caller, job, asked.request.count) if self._tally else nullcontext()
        async with held, self._keeping.inputs(pictures):
            if not await self._store.add(job, self._until()):
                raise Invalid(f"there is a job {job.id} already", field="id", code="job_exists")
        self._board.add(job)
        self._runner.wake()
        return self._board.seen(job, self._clock())

    async def get(self, caller: Caller, id: str) -> Seen:
        """A job as it is. Raises NotFound."""
        job = self._board.here(f"{caller.workspace}/{id}") or await self._store.get(caller.workspace, id)
        if job is None:
            raise NotFound(f"No such job: {id[:64]}")
        return self._board.seen(job, self._clock())

    async def list(
        self, caller: Caller, limit: int, after: str | None = None, states: tuple[JobState, ...] = ()
    ) -> tuple[Sequence[Seen], bool]:
        """Jobs, newest first, older than the one with the id `after`; whether there are more. Raises NotFound."""
        before = None if after is None else (await self.get(caller, after)).job.serial
        page = await self._store.page(caller.workspace, JobFilter(limit, before, states))
        return [self._board.seen(job, self._clock()) for job in page.jobs], page.more

    async def cancel(self, caller: Caller, id: str) -> Seen:
        """End a job: one that runs stops before its next step. One that has ended stays as it is. Raises NotFound."""
        seen = await self.get(caller, id)
        if not seen.job.over:
            await self._runner.end(seen.job, "cancelled", Reason("cancelled", "it was cancelled"))
        return await self.get(caller, id)

    async def skip(self, caller: Caller, id: str) -> Seen:
        """Leave the picture that a job is making and go on with its next; a job that does not run stays as it is.
        Raises NotFound, and Unsupported for a job that another server runs."""
        seen = await self.get(caller, id)
        if seen.job.state == "running" and not self._runner.skip(seen.job.name):
            raise Unsupported("another server runs this job: its pictures cannot be skipped from here")
        return await self.get(caller, id)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget a job and what it made; one that has not ended is cancelled first. Raises NotFound."""
        job = (await self.cancel(caller, id)).job
        await self._store.delete(job)
        await self._gone([*job.inputs, *(picture.digest for picture in job.results)])

    async def follow(self, caller: Caller, id: str) -> AsyncGenerator[Seen, None]:
        """The job as it is, whenever something about it has changed, up to its end. Raises NotFound, and Dead when the
        server is stopped before a job that waits."""
        name = f"{caller.workspace}/{id}"
        with self._board.watching(name) as changed:
            while True:
                changed.clear()
                seen = await self.get(caller, id)
                yield seen
                if seen.job.over:
                    return
                if self._runner.stopping and seen.job.state == "queued":
                    raise Dead("the server is being stopped; the job is done after its next start")
                await _set(changed, None if self._board.here(name) else LOOK)

    async def make(self, caller: Caller, request: ImageRequest, wish: Wish | None = None) -> AsyncGenerator[Seen, None]:
        """A job for somebody who waits for it: it is cancelled when the generator is closed before its end. Raises as
        `submit`, and what a job that failed came to."""
        seen = await self.submit(caller, request, wish)
        try:
            async with aclosing(self.follow(caller, seen.job.id)) as followed:
                async for seen in followed:
                    if seen.job.state in ("failed", "cancelled"):
                        raise error_of(seen.job)
                    yield seen
        finally:
            if not seen.job.over:
                await asyncio.shield(self.cancel(caller, seen.job.id))

    async def picture(self, caller: Caller, id: str, number: int) -> tuple[KeptPicture, bytes]:
        """A picture that a job made, counted from 0, and its file. Raises NotFound."""
        results = (await self.get(caller, id)).job.results
        if not 0 <= number < len(results):
            raise NotFound(f"No such picture: {number} of job {id[:64]}")
        return results[number], await self.read(results[number])

    async def read(self, picture: KeptPicture) -> bytes:
        """Its file. Raises Failed where it is not there any more."""
        return await self._keeping.read(picture.digest)

    # --- from the server's start to its end ---

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._hold(), name="image leases")]
        self._tasks.append(asyncio.create_task(self._tidy(), name="image retention"))
        self._runner.start()

    async def close(self) -> None:
        """The job under way goes on to its end, others wait for the next start."""
        self._runner.stopping = True
        self._board.wake()
        await self._runner.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hold(self) -> None:
        """Take over what a former process or another one that is gone has left, and keep what is ours."""
        everything = not self._shared
        while True:
            try:
                await self._adopt(everything)
                everything = False
                await self._renew()
            except Exception as problem:
                log.error("image jobs cannot be looked after yet: %s", problem)
            await asyncio.sleep(LEASE / 3)

    async def _adopt(self, everything: bool) -> None:
        for job in await self._store.adopt(self._clock(), self._until(), everything):
            if self._board.here(job.name):
                continue
            if self._tally is not None:
                await self._tally.adopt(job, pictures_of(job))
            if job.state == "running":
                reason = Reason("dead", "the server ended while the job ran")
                await self._runner.end(job, "failed", reason)
            else:
                self._board.add(job)
                self._runner.wake()

    async def _renew(self) -> None:
        held = self._board.jobs()
        alive = await self._store.renew(held, self._until())
        for job in held:
            if job.name not in alive:
                self._runner.drop(job.name)

    async def _tidy(self) -> None:
        while True:
            try:
                await self._gone(await self._store.expire(self._clock()))
            except Exception as problem:
                log.error("image jobs cannot be swept yet: %s", problem)
            await asyncio.sleep(TIDY)

    # --- a new job ---

    async def _admitted(self, caller: Caller, request: ImageRequest) -> ImageRequest:
        """The request under the model's own name, its prompts as the model is to have them."""
        card = self._painter(caller, request.model)
        if request.beside and not card.capabilities.combines:
            raise Unsupported(f"model {card.name} works on one picture", field="beside", code="unsupported_value")
        said = await with_wildcards(replace(request, model=card.name), self._cards)
        return await admitted(caller, self._gate, said)

    def _painter(self, caller: Caller, name: str) -> ModelCard:
        """The model that is meant. Raises Unsupported, NotFound, Denied."""
        if self._missing is not None:
            raise Unsupported(self._missing, field="model", code="unsupported_value")
        if not name:
            raise Unsupported("this server has no model that makes pictures", field="model", code="unsupported_value")
        card = self._card(caller, name)
        if not card.capabilities.painting:
            raise Unsupported(f"model {card.name} makes no pictures", field="model", code="unsupported_value")
        return card

    def _job(self, caller: Caller, asked: Asked, wish: Wish) -> tuple[ImageJob, Sequence[Picture]]:
        now = self._clock()
        self._last = max(self._last + 1, int(now * 1e6))
        told, pictures = write_asked(asked)
        lifetime = self.keep if wish.lifetime is None else min(wish.lifetime, self.keep)
        job = ImageJob(
            id=wish.id or f"job_{self._last:014x}{secrets.token_hex(4)}",
            workspace=caller.workspace,
            serial=self._last,
            model=asked.request.model,
            asked=told,
            created_at=int(now),
            expires_at=int(now + lifetime),
            key=caller.key,
            inputs=tuple(picture.digest for picture in pictures),
            priority=wish.priority,
            deadline=None if wish.deadline is None else now + wish.deadline,
        )
        return job, pictures

    async def _gone(self, digests: Sequence[str]) -> None:
        if digests and self._discard is not None:
            await self._discard(digests)

    def _until(self) -> float:
        return self._clock() + LEASE


async def _set(event: asyncio.Event, limit: float | None) -> None:
    """Wait for it, at most so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit):
            await event.wait()
