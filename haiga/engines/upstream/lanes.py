"""Connections to one server that are kept for the next request.

Rule: each lane is an httpx client of its own with one connection. One client for all looks at every connection for
every request, which at a hundred at once costs more than all the rest.
"""

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import httpx

IDLE = 30.0  # seconds that a lane nobody uses is kept


class Lanes:
    """`make` makes a client. `clock` gives seconds."""

    def __init__(self, make: Callable[[], httpx.AsyncClient], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()
        self._used: set[httpx.AsyncClient] = set()

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[httpx.AsyncClient, None]:
        """A client for one request: the one that was used last, so that those too many grow old."""
        lane = self._idle.pop()[1] if self._idle else self._make()
        self._used.add(lane)
        try:
            yield lane
        finally:
            self._used.discard(lane)
            self._idle.append((self._clock(), lane))
            await self._forget(self._clock() - IDLE)

    async def close(self) -> None:
        """Close all of them, those in use too."""
        for lane in list(self._used):
            await lane.aclose()
        await self._forget(float("inf"))

    async def _forget(self, before: float) -> None:
        while self._idle and self._idle[0][0] < before:
            await self._idle.popleft()[1].aclose()
