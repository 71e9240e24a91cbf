"""Jobs done, one after another.

Rule: whatever happens to a job, it ends in the store before it is gone from here. What is found to have ended there is
left as it is.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace

from haiga.core.errors import Busy, Cancelled, Failed, HaigaError
from haiga.core.images import ImageRequest, Painted, Progress
from haiga.core.painting import ImageJob, JobState, Reason
from haiga.core.ports import ImageEngine, JobStore
from haiga.services.images.board import Board
from haiga.services.images.keeping import Keeping
from haiga.services.images.tally import Tally
from haiga.services.models import Models

AGAIN = 1.0  # seconds until memory or the database may be there
log = logging.getLogger(__name__)


class Runner:
    """Takes jobs from the board to the models. `tally` is told of each that ends. `clock` gives unix seconds."""

    def __init__(
        self,
        board: Board,
        models: Models,
        store: JobStore,
        keeping: Keeping,
        tally: Tally | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._board = board
        self._models = models
        self._store = store
        self._keeping = keeping
        self._tally = tally
        self._clock = clock
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way: tuple[str, asyncio.Task[None]] | None = None
        self._engine: tuple[str, ImageEngine] | None = None
        self.stopping = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="image jobs")

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def close(self) -> None:
        """Take no more jobs; return when the one under way has ended."""
        self.stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def end(self, job: ImageJob, state: JobState, reason: Reason | None = None) -> bool:
        """Give a job its last state, in the store and then here; False when it had one."""
        job = replace(self._board.here(job.name) or job, state=state, reason=reason, ended_at=self._clock())
        ended = await self._store.end(job)
        try:  # recorded before whoever waits for it hears of its end
            if ended and self._tally is not None:
                await self._tally.end(job)
        finally:
            self.drop(job.name)
        return ended

    def skip(self, name: str) -> bool:
        """Leave the picture that a job is making; False when it is not made here."""
        if self._engine is None or self._engine[0] != name:
            return False
        self._engine[1].skip()
        return True

    def drop(self, name: str) -> None:
        """A job has ended in the store: it is not worked on any longer."""
        if self._under_way and self._under_way[0] == name and self._under_way[1] is not asyncio.current_task():
            self._under_way[1].cancel()
        self._board.end(name, self._clock())

    async def _run(self) -> None:
        while not self.stopping:
            self._wake.clear()
            try:
                if not await self._next():
                    await self._rest()
            except Exception as problem:  # the database is away
                log.error("image jobs cannot go on yet: %s", problem)
                await asyncio.sleep(AGAIN)

    async def _next(self) -> bool:
        """Do one job; False when there is none."""
        for late in self._board.queue.expired(self._clock()):
            if job := self._board.here(late.id):
                reason = Reason("failed", "its deadline passed before it could begin", "deadline")
                await self._settle(job, "failed", reason)
        job = self._board.take(self._models.painters_loaded())
        if job is None:
            return False
        task = asyncio.create_task(self._do(job), name=f"image job {job.name}")
        self._under_way = job.name, task
        await asyncio.gather(task, return_exceptions=True)
        self._under_way = self._engine = None
        return True

    async def _rest(self) -> None:
        """Until there is something to do; deadlines are looked at now and then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(AGAIN if len(self._board) else None):
                await self._wake.wait()

    async def _do(self, job: ImageJob) -> None:
        try:
            await self._paint(job)
        except asyncio.CancelledError:  # by drop: it has its last state
            raise
        except Busy:
            await self._later(job)
        except HaigaError as error:
            await self._settle(job, "failed", Reason.of(error))
        except Exception:
            log.exception("unexpected error in an image job")
            await self._settle(job, "failed", Reason.of(Failed("Internal server error")))

    async def _paint(self, job: ImageJob) -> None:
        asked = await self._keeping.asked(job)
        async with self._models.paint(job.model) as engine:
            began = self._clock()
            if not await self._store.begin(job, began):
                self._board.end(job.name, began)
                return
            job = replace(job, state="running", began_at=began)
            self._board.begin(job, began)
            self._engine = job.name, engine
            async with aclosing(_parts(engine, asked.request)) as said:
                async for each in said:
                    if isinstance(each, Progress):
                        self._board.progress(job.name, each)
                        continue
                    async with self._keeping.result(each, asked) as kept:
                        if not await self._store.add_result(job, kept):
                            raise Cancelled("the job was ended elsewhere")
                    self._board.add_result(job.name, kept)
        await self._settle(job, "done")

    async def _later(self, job: ImageJob) -> None:
        """There was no memory for its model: it goes on waiting."""
        if job.deadline is None or job.deadline > self._clock():
            self._board.add(job)
            await asyncio.sleep(AGAIN)
        else:
            await self._settle(job, "failed", Reason.of(Failed("no memory came free before its deadline")))

    async def _settle(self, job: ImageJob, state: JobState, reason: Reason | None = None) -> None:
        """As `end`, again and again while the database is away: the job is not done before."""
        while True:
            try:
                await self.end(job, state, reason)
                return
            except Exception as problem:
                if self.stopping:
                    raise
                log.error("an image job cannot be ended yet: %s", problem)
                await asyncio.sleep(AGAIN)


async def _parts(engine: ImageEngine, request: ImageRequest) -> AsyncGenerator[Progress | Painted, None]:
    """All that a request has the engine say, the steps of its parts together."""
    for place, part in enumerate(parts := request.parts):
        async with aclosing(_asking(engine, part)) as said:
            async for each in said:
                if isinstance(each, Progress):
                    each = replace(each, step=place * each.steps + each.step, steps=len(parts) * each.steps)
                yield each


def _asking(engine: ImageEngine, request: ImageRequest) -> AsyncGenerator[Progress | Painted, None]:
    if request.upscale is not None:
        return engine.upscale(request.upscale)
    return engine.paint(request, request.seed or 0)
