"""A workspace and all that is kept of it, deleted: rows, the bytes of files, and keys and values in files.

Rule: first nobody of it is let in any more, then what was used is written down, then all goes at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from haiga.core.access import Workspace
from haiga.core.audit import Actor, Deed
from haiga.services.keyring import Keyring

Count: TypeAlias = Mapping[str, int]
Erase: TypeAlias = Callable[[Workspace, int, Callable[[Count], Deed]], Awaitable[Count]]
"""Delete what a store has of a workspace, at a unix second, with the deed that tells of it; the rows by table."""


class Erasure:
    """`erase` deletes rows, `sweep` bytes that no row names any more, `forget` the keys and values of a workspace by
    its name; `settle` writes down what is held in memory. `clock` gives unix seconds."""

    def __init__(
        self,
        keyring: Keyring,
        erase: Erase,
        sweep: Callable[[], Awaitable[None]],
        forget: Callable[[str], None],
        settle: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keyring = keyring
        self._erase = erase
        self._sweep = sweep
        self._forget = forget
        self._settle = settle
        self._clock = clock

    async def delete(self, name: str, actor: Actor) -> tuple[Workspace, Count]:
        """The workspace of this name or id, and how many rows of which table went with it. Raises NotFound."""
        workspace = await self._keyring.workspace(name)
        await self._keyring.acting(actor).archive(workspace.name)
        if self._settle is not None:
            await self._settle()
        now = int(self._clock())

        def deed(gone: Count) -> Deed:
            told = {table: count for table, count in gone.items() if count}
            return Deed("workspace.deleted", workspace.id, actor, now, {"name": workspace.name, "rows": told})

        gone = await self._erase(workspace, now, deed)
        await self._sweep()
        await asyncio.to_thread(self._forget, workspace.name)
        return workspace, gone
