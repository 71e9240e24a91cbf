"""Batches for those who make them: received, looked at, canceled, read, deleted.

Rule: a batch is there for its caller once it was received whole, or not at all.
"""

import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import replace
from typing import Protocol

from haiga.core.access import Caller
from haiga.core.errors import Failed, Invalid, NotFound
from haiga.core.jobs import LIFETIME, Batch, Line, Page, Papers, Result, Rules
from haiga.core.ports import BatchStore

CHUNK = 1 << 20  # bytes of params kept at a time
SPARE = 200  # bytes that a line takes besides its params


class Reader(Protocol):
    """A body that arrives in pieces, to lines."""

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The lines that a piece completes, as custom id and params."""

    def close(self) -> int:
        """How many lines there were."""


class Batches:
    """Batches in `store`; `wake` tells whoever runs their lines that there is something new, `file` whoever reads and
    writes their files. `clock` gives unix seconds, `lifetime` is how long a batch has until it expires."""

    def __init__(
        self,
        store: BatchStore,
        wake: Callable[[], None],
        file: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = time.time,
        lifetime: int = LIFETIME,
    ) -> None:
        self._store = store
        self._wake = wake
        self._file = file
        self._clock = clock
        self._lifetime = lifetime
        self._last = 0

    async def create(
        self, caller: Caller, prefix: str, endpoint: str, rules: Rules, pieces: AsyncIterable[bytes], reader: Reader
    ) -> Batch:
        """The batch whose lines arrive in `pieces`; its id begins with `prefix`. Raises what the reader raises."""
        now = int(self._clock())
        batch = Batch(
            self._new_id(prefix), caller.workspace, endpoint, now, now + self._lifetime, rules=rules, key=caller.key
        )
        await self._store.open(batch)
        try:
            await self._receive(batch, pieces, reader)
            sealed = replace(batch, status="in_progress", total=reader.close())
            if not await self._store.seal(sealed):
                raise Failed("receiving the batch took too long")
        except BaseException:
            await self._store.drop(batch.id)
            raise
        self._wake()
        return sealed

    async def create_filed(self, caller: Caller, prefix: str, endpoint: str, rules: Rules, papers: Papers) -> Batch:
        """The batch whose lines are in a file: whoever does its paperwork reads them."""
        now = int(self._clock())
        lives = (now, now + self._lifetime)
        id = self._new_id(prefix)
        batch = Batch(
            id, caller.workspace, endpoint, *lives, status="validating", rules=rules, papers=papers, key=caller.key
        )
        await self._store.open(batch)
        self._file()
        return batch

    async def _receive(self, batch: Batch, pieces: AsyncIterable[bytes], reader: Reader) -> None:
        held: list[Line] = []
        size = count = 0
        async for piece in pieces:
            for custom_id, params in reader.feed(piece):
                held.append(Line(batch.id, count, custom_id, params))
                count, size = count + 1, size + len(params) + SPARE
            if size >= CHUNK:
                await self._store.fill(held)
                held, size = [], 0
        if held:
            await self._store.fill(held)

    async def get(self, caller: Caller, id: str, filed: bool = False) -> Batch:
        """A batch of those that have their lines in a file, or of the others. Raises NotFound, also for a batch of
        another workspace."""
        batch = _found(await self._store.get(caller.workspace, id), id)
        return _found(batch if (batch.papers is not None) == filed else None, id)

    async def list(
        self, caller: Caller, limit: int, after: str | None = None, before: str | None = None, filed: bool = False
    ) -> Page:
        """A page, newest first. Raises Invalid when a cursor names no batch."""
        for field, id in (("after" if filed else "after_id", after), ("before_id", before)):
            if id is not None and await self._store.get(caller.workspace, id) is None:
                raise Invalid("no batch has this id", field=field)
        return await self._store.page(caller.workspace, limit, after, before, filed)

    async def cancel(self, caller: Caller, id: str, filed: bool = False) -> Batch:
        """Give up what has no result yet; a batch that has ended stays as it is. Raises NotFound."""
        await self.get(caller, id, filed)
        batch = _found(await self._store.cancel(caller.workspace, id, int(self._clock())), id)
        self._wake()
        return batch

    async def results(self, caller: Caller, id: str) -> AsyncIterator[Result]:
        """Every line's result. Raises NotFound and, while there are none or none any more, Invalid."""
        batch = await self.get(caller, id)
        if batch.archived_at is not None:
            raise Invalid(f"The results of batch {id} are no longer available.")
        if not batch.readable:
            raise Invalid(f"The results of batch {id} are not available yet: it is {batch.status}.")
        return self._store.results(id)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget a batch and its results. Raises NotFound, and Invalid while it is processed."""
        if (await self.get(caller, id)).status != "ended":
            raise Invalid(f"Batch {id} cannot be deleted while it is processed: cancel it first.")
        await self._store.drop(id)

    def _new_id(self, prefix: str) -> str:
        """Ids are in the order of creation."""
        self._last = max(self._last + 1, int(self._clock() * 1e6))
        return f"{prefix}_{self._last:014x}{secrets.token_hex(4)}"


def _found(batch: Batch | None, id: str) -> Batch:
    if batch is None:
        raise NotFound(f"There is no batch with the id {id[:64]}.")
    return batch
