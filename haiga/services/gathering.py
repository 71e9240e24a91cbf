"""What is gathered in memory and put away together, on a task of its own.

Rule: one look in so many seconds however much comes, and none while nothing does; whoever ends it then puts away what
came last.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress


class Gathering:
    """`put_away` takes what is there, and raises nothing; from its end to the next are at least `pause` seconds."""

    def __init__(self, name: str, put_away: Callable[[], Awaitable[None]], pause: float) -> None:
        self._name = name
        self._put_away = put_away
        self._pause = pause
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name=self._name)

    def wake(self) -> None:
        """There is something to put away."""
        self._news.set()

    async def close(self) -> None:
        """End, after what is being put away."""
        self._closing.set()
        self._news.set()
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        while not self._closing.is_set():
            await self._news.wait()
            self._news.clear()
            await self._put_away()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._closing.wait()
