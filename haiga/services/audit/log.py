"""The log as those see it who write and read it.

Rule: what a store changes it writes down itself, together with the change; here is what happens outside of stores.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from socket import gethostname
from typing import Any

from haiga.core.audit import Actor, AuditFilter, AuditLine, Chain, Deed, Verifier
from haiga.core.ports import AuditStore

HOUR = 3600.0
MOST = 100  # faults that are told
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found: nothing is wrong when there are no `faults`. `count` are lines, those of `chain`."""

    chain: Chain
    count: int
    faults: tuple[str, ...]


class Audit:
    """The log in `store`. From `start` to `close` lines older than `keep` seconds are forgotten, None keeps all; at the
    start, what the server says of itself (`begins`) is written down. `clock` gives unix seconds."""

    def __init__(
        self,
        store: AuditStore,
        keep: float | None = None,
        clock: Callable[[], float] = time.time,
        begins: Mapping[str, Any] | None = None,
    ) -> None:
        self.keep = keep
        self._begins = begins
        self._store = store
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def deed(self, actor: Actor, action: str, subject: str, details: Mapping[str, Any] | None = None) -> Deed:
        """Something that is done now."""
        return Deed(action, subject, actor, int(self._clock()), details or {})

    async def write(self, *deeds: Deed) -> None:
        await self._store.write(deeds)

    async def record(self, actor: Actor, action: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
        """Write down what has just been done."""
        await self.write(self.deed(actor, action, subject, details))

    async def page(self, wanted: AuditFilter) -> list[AuditLine]:
        return await self._store.page(wanted)

    async def lines(self) -> AsyncIterator[AuditLine]:
        """All of them, oldest first."""
        async with aclosing(self._store.lines()) as lines:
            async for line in lines:
                yield line

    async def verify(self, known: Mapping[int, str] | None = None) -> Verdict:
        """Read the log whole. `known` are digests written down elsewhere, by the numbers of their lines."""
        chain, faults, count = await self._store.chain(), [], 0
        verifier = Verifier(chain, known)
        async with aclosing(self._store.lines(chain.last)) as lines:
            async for line in lines:
                count += 1
                faults += verifier.feed(line)
        behind = await self._store.page(AuditFilter(MOST, after=chain.last, forward=True))
        last = (await self._store.chain()).last  # more may have been written meanwhile
        faults += verifier.end()
        faults += [f"line {line.number} was inserted behind the last one" for line in behind if line.number > last]
        return Verdict(chain, count, tuple(faults[:MOST]))

    # --- forgetting ---

    def start(self) -> None:
        self._task = asyncio.create_task(self._tidy(), name="audit")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def forget(self, keep: float) -> int:
        """Forget what is older than `keep` seconds, and write that down; how many lines there were."""
        before = int(self._clock() - keep)
        gone = await self._store.forget(before)
        if gone:
            await self.record(Actor(), "audit.trimmed", "audit_log", {"lines": gone, "before": before})
        return gone

    async def _tidy(self) -> None:
        while True:
            try:
                if self._begins is not None:
                    await self.record(Actor(), "server.started", gethostname(), self._begins)
                    self._begins = None
                if self.keep is not None:
                    await self.forget(self.keep)
            except Exception as problem:
                log.error("audit: the log cannot be written: %s", problem)
            await asyncio.sleep(HOUR)
