"""Work that comes in turns, on a task of its own: a turn while there is something to do, then rest until there is news.

Rule: a turn that fails loses nothing, it comes again after a pause. Whoever ends the work lets the turn that is under
way end first: a connection to the store that is cut off may hold SQLite's lock for a while.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Rounds:
    """`turn` does what is to do and tells whether there is more; `rest` gives the seconds until the next look when
    there is no news, `pause` those after a failure, which is logged as `trouble`."""

    def __init__(
        self, name: str, turn: Callable[[], Awaitable[bool]], *, rest: Callable[[], float], pause: float, trouble: str
    ) -> None:
        self._name = name
        self._turn = turn
        self._rest = rest
        self._pause = pause
        self._trouble = trouble
        self._news = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name=self._name)

    def wake(self) -> None:
        """There is something to do."""
        self._news.set()

    async def close(self, grace: float) -> None:
        """End, giving the turn that is under way so many seconds."""
        if self._task is None:
            return
        self._closed = True
        self._news.set()
        await asyncio.wait({self._task}, timeout=grace)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while not self._closed:
            self._news.clear()
            try:
                busy = await self._turn()
            except Exception as problem:
                log.error("%s: %s", self._trouble, problem)
                await asyncio.sleep(self._pause)
                continue
            if not busy and not self._closed:
                await self._wait()

    async def _wait(self) -> None:
        try:
            # not wait_for, which forgets that it is cancelled when the news comes at the same moment
            async with asyncio.timeout(self._rest()):
                await self._news.wait()
        except TimeoutError:
            return
