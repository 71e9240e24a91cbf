"""How much decoded pictures may take in memory, all requests together.

Rule: a request takes what it may need at most before anything is decoded, gives back what it did not need after, and
the rest when it is answered. Who came first is served first, so that a request with much is not passed over for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Lease:
    """`size` bytes of the room."""

    def __init__(self, room: "Room", size: int) -> None:
        self._room = room
        self.size = size

    def shrink(self, to: int) -> None:
        """Give back all but `to` bytes."""
        if to < self.size:
            self._room.give(self.size - to)
            self.size = to


class Room:
    """`size` bytes. A request that may need more has the whole of it."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._turn = asyncio.Lock()
        self._given = asyncio.Event()

    @asynccontextmanager
    async def lease(self, size: int) -> AsyncIterator[Lease]:
        """Waits until there is so much room."""
        wanted = min(size, self._size)
        async with self._turn:
            while self._free < wanted:
                self._given.clear()
                await self._given.wait()
            self._free -= wanted
        lease = Lease(self, wanted)
        try:
            yield lease
        finally:
            lease.shrink(0)

    def give(self, size: int) -> None:
        """So many bytes are free again."""
        self._free += size
        self._given.set()
