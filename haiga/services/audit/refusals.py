"""Requests that their callers were not let to ask, in the audit log.

Rule: whoever tries keys by the thousand fills neither the log nor the time of others: of the same address, key and
status there is one line in PAUSE seconds, which counts.
"""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import replace

from haiga.core.audit import Actor, Deed
from haiga.services.audit.log import Audit
from haiga.services.requests import LONGEST, Asked

PAUSE = 5.0  # seconds
MOST = 100  # different callers in one PAUSE; the rest are counted together
OTHERS = "others"
log = logging.getLogger(__name__)


class Refusals:
    """Written into `audit` from `start` to `close`."""

    def __init__(self, audit: Audit, pause: float = PAUSE) -> None:
        self._audit = audit
        self._pause = pause
        self._first: dict[tuple[str, str], Deed] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, asked: Asked) -> None:
        """Note a request that was answered 401 or 403."""
        action = "login.failed" if asked.status == 401 else "access.refused"
        who = (action, asked.key or asked.address or "")
        if who not in self._first and len(self._first) >= MOST:
            who = (action, OTHERS)
        if who not in self._first:
            others = who[1] == OTHERS
            self._first[who] = self._deed(action, asked, others)
        self._counts[who] += 1
        self._news.set()

    def _deed(self, action: str, asked: Asked, others: bool) -> Deed:
        path = asked.path[:LONGEST]
        address = None if others else asked.address
        actor = Actor("anyone" if asked.key is None else "key", asked.key or "", address, asked.id)
        return self._audit.deed(actor, action, path, {"method": asked.method})

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name="refusals")

    async def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        self._news.set()
        if self._task is not None:
            await self._task
        await self.flush()

    async def flush(self) -> None:
        first, counts = self._first, self._counts
        self._first, self._counts = {}, Counter()
        if not first:
            return
        deeds = [replace(deed, details={**deed.details, "count": counts[who]}) for who, deed in first.items()]
        try:
            await self._audit.write(*deeds)
        except Exception as problem:
            log.error("audit: %d refused requests could not be written down: %s", counts.total(), problem)

    async def _work(self) -> None:
        while not self._closing.is_set():
            await self._news.wait()
            self._news.clear()
            await self.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._closing.wait()
