"""Where records go while requests run: held in memory, written together.

Rule: nobody waits for the disk to have something recorded, and what was recorded is there for whoever asks.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

from haiga.core.limits import Owner
from haiga.core.ports import UsageStore
from haiga.core.records import Generation, Question, Record, Total, generation
from haiga.services.gathering import Gathering

AT_ONCE = 500  # records in one write
MOST = 100_000  # records held while the store cannot be written; those that come then are lost
PAUSE = 1.0  # seconds between two writes, so that they are of many records
TRIES = 5  # at the end, to write what is left
HOUR = 3600.0
log = logging.getLogger(__name__)


class Ledger:
    """Records on their way to `store`, from `start` to `close`. Those older than `keep` seconds are forgotten; None
    keeps all. `clock` gives unix seconds."""

    def __init__(self, store: UsageStore, keep: float | None = None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self.keep = keep
        self._clock = clock
        self._held: deque[Record] = deque()
        self._lost = 0
        self._writing = asyncio.Lock()
        self._tidied_at = float("-inf")
        self._gathering = Gathering("usage", self._put_away, PAUSE)

    def add(self, record: Record) -> None:
        if len(self._held) == MOST:
            self._lost += 1
            return
        self._held.append(record)
        self._gathering.wake()

    def start(self) -> None:
        self._gathering.start()

    async def close(self) -> None:
        """Write what is left."""
        await self._gathering.close()
        for _ in range(TRIES):
            if not self._held:
                return
            await self._try()
        if self._held:
            log.error("usage: %d records could not be written and are lost", len(self._held))

    # --- for whoever asks ---

    async def generation(self, answer: str, workspace: str) -> Generation | None:
        """What is recorded of an answer of the workspace."""
        await self.flush()
        return generation(await self._store.of(answer, workspace))

    async def spent(self, only: Mapping[str, str], since: float) -> int:
        """Billionths of a US dollar since a unix second, of records whose fields have these values."""
        await self.flush()
        return await self._store.spent(only, int(since))

    async def spent_by(self, owner: Owner, since: float) -> int:
        """As `spent`, by a key or a whole workspace."""
        return await self.spent({"key": owner.id} if owner.workspace is None else {"workspace": owner.workspace}, since)

    async def totals(self, question: Question) -> list[Total]:
        await self.flush()
        return await self._store.totals(question)

    # --- writing ---

    async def _put_away(self) -> None:
        await self._try()
        await self._tidy()

    async def _try(self) -> None:
        try:
            await self._write()
        except Exception as problem:
            log.error("usage: %d records wait to be written: %s", len(self._held), problem)
            self._gathering.wake()

    async def flush(self) -> None:
        """Write what is held."""
        # whoever asks may go away, which must not end a write in its middle
        await asyncio.shield(asyncio.ensure_future(self._write()))

    async def _write(self) -> None:
        async with self._writing:
            while self._held:
                some = [self._held[at] for at in range(min(AT_ONCE, len(self._held)))]
                await self._store.write(some)
                for _ in some:
                    self._held.popleft()
        if self._lost:
            log.error("usage: %d records were lost while the store could not be written", self._lost)
            self._lost = 0

    async def _tidy(self) -> None:
        now = self._clock()
        if self.keep is None or now - self._tidied_at < HOUR:
            return
        self._tidied_at = now
        try:
            await self._store.forget(int(now - self.keep))
        except Exception as problem:
            log.error("usage: what is too old is still there: %s", problem)
