"""What is known at this moment of the jobs that this server has, and who watches them.

Rule: a watcher that is slow misses what was in between, never the last.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from haiga.core.images import Progress
from haiga.core.painting import ImageJob, KeptPicture, Seen
from haiga.services.images.queue import Queue, Waiting

WEIGHT = 0.3  # of the last job in what a job is thought to take


@dataclass(slots=True)
class _Run:
    """A job under way since a second of the clock."""

    began: float
    progress: Progress | None = None


class Board:
    """Jobs here, by their names. Times are seconds of one clock."""

    def __init__(self) -> None:
        self.queue = Queue()
        self._jobs: dict[str, ImageJob] = {}
        self._runs: dict[str, _Run] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._order: dict[str, int] | None = None
        self._usual: float | None = None  # seconds that a job takes

    def __len__(self) -> int:
        return len(self._jobs)

    def jobs(self) -> list[ImageJob]:
        return list(self._jobs.values())

    def here(self, name: str) -> ImageJob | None:
        return self._jobs.get(name)

    def owned(self, owner: str) -> int:
        """How many jobs an owner has here."""
        return sum(owner_of(job) == owner for job in self._jobs.values())

    # --- what happens to jobs ---

    def add(self, job: ImageJob) -> None:
        self._jobs[job.name] = job
        self.queue.add(Waiting(job.name, owner_of(job), job.model, job.priority, job.deadline))
        self._moved()

    def take(self, loaded: Collection[str]) -> ImageJob | None:
        """The next one, out of the queue."""
        waiting = self.queue.take(loaded)
        self._moved()
        return self._jobs[waiting.id] if waiting else None

    def begin(self, job: ImageJob, at: float) -> None:
        self._jobs[job.name] = job
        self._runs[job.name] = _Run(at)
        self._notify(job.name)

    def progress(self, name: str, progress: Progress) -> None:
        run = self._runs[name]
        kept = progress.preview or (run.progress.preview if run.progress else None)
        run.progress = replace(progress, preview=kept)
        self._notify(name)

    def add_result(self, name: str, picture: KeptPicture) -> None:
        job = self._jobs[name]
        self._jobs[name] = replace(job, results=(*job.results, picture))
        self._notify(name)

    def end(self, name: str, at: float) -> None:
        """It has its last state, in the store."""
        self.queue.remove(name)
        if self._jobs.pop(name, None) is None:
            return
        if run := self._runs.pop(name, None):
            took = at - run.began
            self._usual = took if self._usual is None else WEIGHT * took + (1 - WEIGHT) * self._usual
        self._notify(name)
        self._moved()

    # --- who watches ---

    def seen(self, job: ImageJob, now: float) -> Seen:
        """The job with what is known of it here."""
        if job.name not in self._jobs or job.over:
            return Seen(job)
        job = self._jobs[job.name]
        if (run := self._runs.get(job.name)) is None:
            position = self._position(job.name)
            eta = None if position is None or self._usual is None else (position + 1) * self._usual + self._left(now)
            return Seen(job, position, None, eta)
        return Seen(job, None, run.progress, _left(run, now))

    @contextmanager
    def watching(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set when something happens to the job."""
        event = asyncio.Event()
        watchers = self._watchers.setdefault(name, set())
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(name, None)

    def wake(self) -> None:
        """Have all look."""
        for name in self._watchers:
            self._notify(name)

    def _left(self, now: float) -> float:
        """Seconds that those under way take yet."""
        return sum(_left(run, now) or 0.0 for run in self._runs.values())

    def _position(self, name: str) -> int | None:
        if self._order is None:
            self._order = {id: place for place, id in enumerate(self.queue.order())}
        return self._order.get(name)

    def _moved(self) -> None:
        """Those in the queue have other places."""
        self._order = None
        for name in self._watchers.keys() & (self._jobs.keys() - self._runs.keys()):
            self._notify(name)

    def _notify(self, name: str) -> None:
        for event in self._watchers.get(name, ()):
            event.set()


def owner_of(job: ImageJob) -> str:
    """Whose turn it takes in the queue."""
    return job.key or job.workspace


def _left(run: _Run, now: float) -> float | None:
    """Steps take as long as they did."""
    if run.progress is None or run.progress.step == 0:
        return None
    return (now - run.began) / run.progress.step * (run.progress.steps - run.progress.step)
