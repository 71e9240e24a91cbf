"""Jobs for pictures held to the limits of their keys, and recorded beside all else that was asked.

Rule: a job takes its request and the price of all its pictures when it is asked for; those that were not made are given
back at its end. What it cost is what was made.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from haiga.core.access import Caller, Origin
from haiga.core.errors import HaigaError
from haiga.core.painting import ImageJob
from haiga.core.records import SUCCEEDED, Cost, Price, Record
from haiga.services.limits import Hold, Limiter

Holder: TypeAlias = Callable[[str | None, str], Awaitable[Caller]]
UNKNOWN = Origin(family="openai", endpoint="/v1/jobs")  # of a job that was asked for before the server's start


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asked for a job, and what it holds of their limits."""

    origin: Origin
    hold: Hold


class Tally:
    """Adds a record of each job with `add`; `price` is a model's by its own name, `holder` gives who holds a key.
    `lasting`: what is taken of limits outlasts the server."""

    def __init__(
        self,
        limiter: Limiter,
        add: Callable[[Record], None],
        price: Callable[[str], Price],
        holder: Holder,
        lasting: bool = False,
    ) -> None:
        self._limiter = limiter
        self._add = add
        self._price = price
        self._holder = holder
        self._lasting = lasting
        self._asked: dict[str, _Asked] = {}

    @asynccontextmanager
    async def begin(self, caller: Caller, job: ImageJob, images: int) -> AsyncIterator[None]:
        """A job's share of the limits: for good, unless the block raises. Raises Limited and Exhausted."""
        try:
            hold = await self._limiter.hold(caller, job.model, images)
        except HaigaError as error:
            self._add(self._record(job, caller.origin, error.name, job.serial / 1e6))
            raise
        asked = _Asked(caller.origin, hold)
        self._asked.setdefault(job.name, asked)
        try:
            yield
        except BaseException:
            if self._asked.get(job.name) is asked:
                del self._asked[job.name]
            await self._limiter.settle_images(hold, 0)
            raise

    async def adopt(self, job: ImageJob, images: int) -> None:
        """A job that was asked for before the server's start has its share of the limits again."""
        caller = await self._holder(job.key, job.workspace)
        with suppress(HaigaError):  # of a model that is here no more, nobody knows the price
            hold = await self._limiter.again(caller, job.model, images, job.serial / 1e6, self._lasting)
            self._asked.setdefault(job.name, _Asked(UNKNOWN, hold))

    async def end(self, job: ImageJob) -> None:
        """A job has its last state."""
        asked = self._asked.pop(job.name, None)
        outcome = SUCCEEDED if job.state == "done" else job.reason.name if job.reason else job.state
        ended = job.serial / 1e6 if job.ended_at is None else job.ended_at
        self._add(self._record(job, asked.origin if asked else UNKNOWN, outcome, ended))
        if asked is not None:
            await self._limiter.settle_images(asked.hold, len(job.results))

    def _record(self, job: ImageJob, origin: Origin, outcome: str, ended: float) -> Record:
        made, began = len(job.results), job.serial / 1e6
        return Record(
            created_at=job.created_at,
            workspace=job.workspace,
            model=job.model,
            key=job.key,
            request_id=origin.request_id,
            family=origin.family,
            endpoint=origin.endpoint,
            streamed=origin.streamed,
            outcome=outcome,
            latency=None if job.began_at is None else max(0.0, job.began_at - began),
            duration=max(0.0, ended - began),
            cost=Cost(output=self._price(job.model).of_images(made)),
            images=made,
        )
