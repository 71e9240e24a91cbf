"""Who sends what was noted: looks for deliveries that are due, tries each, keeps what came of it.

Rule: a try is counted before it is made. Whoever is killed in the middle leaves a delivery that is due again, so every
event arrives at least once, with the same id.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from math import ceil

from haiga.core.errors import HaigaError
from haiga.core.ports import WebhookStore
from haiga.core.webhooks import KEPT, Delivery, WebhookEndpoint, attempted, judged
from haiga.services.rounds import Rounds
from haiga.services.webhooks.sender import PATIENCE, Sender

WIDTH = 32  # tries under way at once
EACH = 4  # of them to one endpoint, so that a slow one does not hold up the others
LEASE = PATIENCE + 10  # seconds after which a try that nobody recorded is made again
PAUSE = 1.0  # seconds between two looks
GRACE = 1.0  # seconds for the turn under way, when the server stops
CLEANING = 3600.0  # seconds between two looks for what is old
log = logging.getLogger(__name__)


class Deliverer:
    """Sends from `start` to `close`. `clock` gives unix seconds, `chance` 0 to 1; `pause` and `lease` are
    seconds."""

    def __init__(
        self,
        store: WebhookStore,
        sender: Sender,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        pause: float = PAUSE,
        lease: float = LEASE,
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._chance = chance
        self._lease = lease
        self._running: dict[asyncio.Task[None], str] = {}  # to their endpoints
        self._cleaned = float("-inf")
        trouble = "webhooks cannot be sent yet"
        self._rounds = Rounds("webhooks", self._turn, rest=lambda: pause, pause=pause, trouble=trouble)

    def start(self) -> None:
        self._rounds.start()

    async def close(self) -> None:
        """Stop; what was under way is sent again after the next start."""
        await self._rounds.close(GRACE)
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn(self) -> bool:
        """Begin what is due and there is room for; there is no more until a try is over, or some time."""
        now, room = int(self._clock()), WIDTH - len(self._running)
        if room:
            busy = Counter(self._running.values())
            for delivery, endpoint in await self._store.claim(now, now + ceil(self._lease), room, EACH, busy):
                task = asyncio.create_task(self._deliver(delivery, endpoint))
                self._running[task] = endpoint.id
                task.add_done_callback(self._over)
        if not 0 <= self._clock() - self._cleaned < CLEANING:
            self._cleaned = self._clock()
            await self._store.forget(now - KEPT)
        return False

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._rounds.wake()

    async def _deliver(self, delivery: Delivery, endpoint: WebhookEndpoint) -> None:
        status, error = None, None
        try:
            status = await self._sender.send(endpoint, delivery.event)
        except HaigaError as problem:
            error = str(problem)
        except Exception:
            log.exception("unexpected error in the delivery of %s", delivery.event.id)
            error = "Internal server error"
        now = int(self._clock())
        tried = attempted(delivery, status, error, now, self._chance())
        try:
            await self._store.record(tried, judged(endpoint, tried, now))
        except Exception as problem:
            log.warning("what came of %s is not known to the log, it is sent again: %s", delivery.event.id, problem)
