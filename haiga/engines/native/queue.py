"""Requests of one model that have come and not begun yet: only so many, the next is told to come back.

Rule: how long to stay away is as long as those waited who began last. Lines of batches are not counted: they wait for
their turn by themselves.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from haiga.core.errors import Busy

SHORTEST, LONGEST = 1.0, 60.0  # seconds that somebody is told to stay away
SHARE = 0.2  # of the newest wait in what is usual


@dataclass(slots=True)
class Place:
    """One request's place. `begun`: it waits no more."""

    since: float
    begun: bool = False


class Queue:
    """At most `most` of the model's requests wait. `clock` gives seconds."""

    def __init__(self, model: str, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.waiting = 0
        self._model = model
        self._clock = clock
        self._usual = 0.0

    @contextmanager
    def place(self, *, counted: bool = True) -> Iterator[Place]:
        """A place until the block ends. Raises Busy when as many wait as may."""
        if not counted:
            yield Place(self._clock(), begun=True)
            return
        if self.waiting >= self.most:
            after = min(max(self._usual, SHORTEST), LONGEST)
            raise Busy(f"the queue of model {self._model} is full ({self.most} requests wait)", retry_after=after)
        self.waiting += 1
        place = Place(self._clock())
        try:
            yield place
        finally:
            if not place.begun:
                self.waiting -= 1

    def begin(self, place: Place) -> None:
        """The request has had its first step."""
        if not place.begun:
            place.begun = True
            self.waiting -= 1
            self._usual += SHARE * (self._clock() - place.since - self._usual)
