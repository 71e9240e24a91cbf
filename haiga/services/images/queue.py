"""Which picture is made next. Pure: jobs, time and what is loaded come in as arguments, a job comes out.

Rules:

1.  Higher priorities first, whoever asks.
2.  Within a priority owners take turns, each with their oldest job: who sends a hundred waits as long as who sends one
    for the next, and nobody waits for a hundred.
3.  An owner whose job is for a loaded model may go before one whose is not, since loading takes longer than a picture;
    nobody is passed over more than `patience` times in a row.
4.  A job whose deadline is past is not begun.
"""

from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in the queue. `deadline`: unix seconds by which it must have begun."""

    id: str
    owner: str
    model: str
    priority: int = 0
    deadline: float | None = None


@dataclass(slots=True)
class _Line:
    """An owner's jobs of one priority, oldest first, and how often others have gone before."""

    jobs: list[Waiting]
    passed: int = 0


class Queue:
    """`patience` bounds how often somebody may be passed over for a model that is loaded."""

    def __init__(self, patience: int = 4) -> None:
        self._patience = patience
        self._lines: dict[int, dict[str, _Line]] = {}  # by priority, then by owner in the order of their turns

    def __len__(self) -> int:
        return sum(len(line.jobs) for lines in self._lines.values() for line in lines.values())

    def add(self, job: Waiting) -> None:
        lines = self._lines.setdefault(job.priority, {})
        lines.setdefault(job.owner, _Line([])).jobs.append(job)

    def remove(self, id: str) -> Waiting | None:
        """Take a job out; None when it is not there."""
        job = next((job for job in self._all() if job.id == id), None)
        if job is not None:
            self._drop(job)
        return job

    def expired(self, now: float) -> list[Waiting]:
        """Take out those whose deadline is past."""
        late = [job for job in self._all() if job.deadline is not None and job.deadline < now]
        for job in late:
            self._drop(job)
        return late

    def take(self, loaded: Collection[str] = ()) -> Waiting | None:
        """The next job, given the models that are loaded."""
        if not self._lines:
            return None
        lines = self._lines[max(self._lines)]
        owner = self._turn(lines, loaded)
        for other in lines:
            if other == owner:
                break
            lines[other].passed += 1
        job = lines[owner].jobs[0]
        self._drop(job)
        if line := lines.pop(owner, None):  # to the end of the turns
            line.passed = 0
            lines[owner] = line
        return job

    def order(self) -> list[str]:
        """The ids in the order in which they come as things are."""
        copy = deepcopy(self)
        return [job.id for _ in range(len(self)) if (job := copy.take())]

    def position(self, id: str) -> int | None:
        """How many go before it as things are; None when it is not there."""
        order = self.order()
        return order.index(id) if id in order else None

    def _turn(self, lines: dict[str, _Line], loaded: Collection[str]) -> str:
        for owner, line in lines.items():
            if line.jobs[0].model in loaded:
                return owner
            if line.passed >= self._patience:
                return owner
        return next(iter(lines))

    def _drop(self, job: Waiting) -> None:
        lines = self._lines[job.priority]
        lines[job.owner].jobs.remove(job)
        if not lines[job.owner].jobs:
            del lines[job.owner]
        if not lines:
            del self._lines[job.priority]

    def _all(self) -> Iterator[Waiting]:
        for lines in self._lines.values():
            for line in lines.values():
                yield from line.jobs
