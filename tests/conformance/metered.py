"""Two servers that hold the same keys to their limits over one database, each in a process of its own, which prints for
each key how many requests it let in, as JSON.

Rule: at each moment of a simulated clock each process asks for more than there is by then, so that what is let in
together is known, whichever of them is at which moment.
"""

import asyncio
import json
import subprocess
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
START, STEP = 1_800_000_000.0, 30.0  # seconds: in each step half of a limit comes back
ASKED = TextRequest("m", (Message("user", (Text("hi"),)),), max_tokens=4)


def limit(key: int) -> int:
    """Requests a minute: even, so that half of it is whole."""
    return 2 * Random(key).randint(1, 3)


def attempts(key: int) -> int:
    """Of each process at each moment: more than comes back in a step."""
    return limit(key) // 2 + 2


def moments(requests: int) -> int:
    """How many moments make so many requests of both processes, at least."""
    return -(-requests // (2 * sum(map(attempts, range(KEYS)))))


async def contest(url: str, requests: int) -> tuple[list[int], list[int]]:
    """How many requests of each key are to be let in, and how many were."""
    async with connect(url):
        pass
    count = moments(requests)
    command = [sys.executable, "-m", "tests.conformance.metered", url, str(count)]
    both = [await asyncio.create_subprocess_exec(*command, str(seed), stdout=subprocess.PIPE) for seed in (1, 2)]
    reports = [json.loads((await process.communicate())[0]) for process in both]
    assert all(map(sum, reports))
    expected = [limit(key) + (count - 1) * (limit(key) // 2) for key in range(KEYS)]
    return expected, [sum(passed) for passed in zip(*reports, strict=True)]


async def model(caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
    yield Finished("end_turn", Usage(output=4))


class Server:
    """The limiter of one process; `passed` counts by key."""

    def __init__(self, meters: DatabaseMeters) -> None:
        self.now = START
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


async def main(url: str, count: int, seed: int) -> None:
    async with connect(url) as database:
        server = Server(DatabaseMeters(database))
        turn = asyncio.Semaphore(6)

        async def one(key: int) -> None:
            async with turn:
                await server.ask(key)

        for moment in range(count):
            server.now = START + moment * STEP
            keys = [key for key in range(KEYS) for _ in range(attempts(key))]
            Random(seed).shuffle(keys)
            await asyncio.gather(*map(one, keys))
    print(json.dumps(server.passed))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
