"""Requests that their callers were not let to ask, in the audit log.

Rule: whoever tries keys by the thousand fills neither the log nor the time of others: of the same address, key and
status there is one line in PAUSE seconds, which counts.
"""

import logging
from collections import Counter
from dataclasses import replace

from haiga.core.audit import Actor, Deed
from haiga.services.audit.log import Audit
from haiga.services.gathering import Gathering
from haiga.services.requests import LONGEST, Asked

PAUSE = 5.0  # seconds
MOST = 100  # different callers in one PAUSE; the rest are counted together
OTHERS = "others"
log = logging.getLogger(__name__)


class Refusals:
    """Written into `audit` from `start` to `close`."""

    def __init__(self, audit: Audit, pause: float = PAUSE) -> None:
        self._audit = audit
        self._first: dict[tuple[str, str], Deed] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._gathering = Gathering("refusals", self.flush, pause)

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
        self._gathering.wake()

    def _deed(self, action: str, asked: Asked, others: bool) -> Deed:
        path = asked.path[:LONGEST]
        address = None if others else asked.address
        actor = Actor("anyone" if asked.key is None else "key", asked.key or "", address, asked.id)
        return self._audit.deed(actor, action, path, {"method": asked.method})

    def start(self) -> None:
        self._gathering.start()

    async def close(self) -> None:
        """Write what is left."""
        await self._gathering.close()
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
