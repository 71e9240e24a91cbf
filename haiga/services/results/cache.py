"""The stage that answers what was asked before from a store, for those who want it.

Rule: an answer is kept only if the same request is to have the same answer (`is_deterministic`), whole, for its own
workspace, and for this release with these weights. A store that fails costs time, never an answer.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from haiga.core.access import Caller
from haiga.core.generation import Event, Finished, TextRequest
from haiga.core.ports import Ask, ModelCard, ResultStore
from haiga.services.batches.sameness import digest_of, is_deterministic
from haiga.services.results.recording import Recording, replay

PART = 16  # of the store's limit: the largest answer that is kept, and how much is added between two clean-ups
log = logging.getLogger(__name__)


class ResultCache:
    """Answers in `store`: at most `limit` bytes of them, each for `age` seconds. `card` finds a caller's model. Those
    who say nothing get kept answers if `unasked`. `release` is the server's own: another one computes otherwise."""

    def __init__(
        self,
        store: ResultStore,
        card: Callable[[Caller, str], ModelCard],
        *,
        limit: int,
        age: float,
        unasked: bool = False,
        release: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._card = card
        self.limit = limit
        self.age = age
        self.unasked = unasked
        self._release = release
        self._clock = clock
        self._added = limit  # bytes since the last clean-up; the first answer kept brings one

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events, those of an earlier answer if there is one."""
        wanted = caller.origin.reuse.wanted
        wanted = self.unasked if wanted is None else wanted
        if wanted and self.limit and is_deterministic(request):
            return self._reused(caller, request, ask)
        return ask(caller, request)

    async def _reused(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        card, reuse = self._card(caller, request.model), caller.origin.reuse
        digest = digest_of([request], card, self._release, caller.workspace, "deterministic")
        assert digest is not None
        reuse.looked += 1
        if kept := await self._find(caller.workspace, digest):
            reuse.found += 1
            for event in kept:
                yield event
            return
        recording = Recording()
        async with aclosing(ask(caller, request)) as events:
            async for event in events:
                recording.add(event)
                if isinstance(event, Finished):
                    await self._keep(caller.workspace, digest, recording.bytes())
                yield event

    async def _find(self, workspace: str, digest: str) -> list[Event]:
        now = int(self._clock())
        try:
            found = await self._store.find(workspace, digest, int(now - self.age), now)
            return replay(found) if found else []
        except Exception as problem:
            log.warning("a kept answer cannot be read, it is computed again: %s", problem)
            return []

    async def _keep(self, workspace: str, digest: str, recorded: bytes | None) -> None:
        if recorded is None or len(recorded) > self.limit // PART:
            return
        now = int(self._clock())
        try:
            await self._store.keep(workspace, digest, recorded, now)
            self._added += len(recorded)
            if self._added > self.limit // PART:
                self._added = 0
                await self._store.trim(self.limit - self.limit // PART, int(now - self.age))
        except Exception as problem:
            log.warning("an answer cannot be kept for those who ask again: %s", problem)
