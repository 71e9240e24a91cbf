"""One of several servers that hold the same keys to their limits over one database: prints for each key how many
requests it let in, as JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from random import Random

from haiga.core.access import Caller
from haiga.core.errors import Limited
from haiga.core.generation import Event, Finished, TextRequest, Usage
from haiga.core.limits import Limits, Owner
from haiga.core.messages import Message, Text
from haiga.core.records import Price
from haiga.services.limits import Limiter
from haiga.stores.connect import connect
from haiga.stores.meters import DatabaseMeters

KEYS = 50
MOMENTS = (1_800_000_000.0, 1_800_000_030.0)
ASKED = TextRequest("m", (Message("user", (Text("hi"),)),), max_tokens=4)


def limit(key: int) -> int:
    """Requests a minute: even, so that half of it is whole."""
    return 2 * (1 + key % 3)


def attempts(key: int) -> int:
    """Of each process at each moment: more than half of what there is."""
    return limit(key) // 2 + 2


async def model(caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
    yield Finished("end_turn", Usage(output=4))


class Server:
    """The limiter of one process; `passed` counts by key."""

    def __init__(self, meters: DatabaseMeters) -> None:
        self.now = MOMENTS[0]
        self.limiter = Limiter(meters, self._count, lambda caller, name: Price(), self._spent, lambda: self.now)
        self.passed = [0] * KEYS

    async def _count(self, caller: Caller, request: TextRequest) -> int:
        return 1

    async def _spent(self, owner: Owner, since: float) -> int:
        return 0

    async def ask(self, key: int) -> None:
        limits = Limits(requests=limit(key), output_tokens=4 * limit(key))
        caller = Caller(f"key_{key}", owners=(Owner(f"key_{key}", "this API key", limits),))
        try:
            async for _ in self.limiter.answer(caller, ASKED, model):
                self.passed[key] += 1
        except Limited:
            return


async def main(url: str, seed: int) -> None:
    async with connect(url) as database:
        server = Server(DatabaseMeters(database))
        turn = asyncio.Semaphore(6)

        async def one(key: int) -> None:
            async with turn:
                await server.ask(key)

        for server.now in MOMENTS:
            keys = [key for key in range(KEYS) for _ in range(attempts(key))]
            Random(seed).shuffle(keys)
            await asyncio.gather(*map(one, keys))
    print(json.dumps(server.passed))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
