"""Conversations: items that are kept apart from the responses made of them.

Rule: a conversation lives for `lifetime` seconds after it was last added to or changed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.errors import NotFound
from haiga.core.ports import ResponseStore
from haiga.core.responses import Item, KeptConversation

LIFETIME = 30 * 24 * 3600  # seconds


class Conversations:
    def __init__(
        self, store: ResponseStore, *, clock: Callable[[], float] = time.time, lifetime: int = LIFETIME
    ) -> None:
        self._store = store
        self._clock = clock
        self._lifetime = lifetime

    async def create(
        self, caller: Caller, id: str, metadata: Mapping[str, str], items: Sequence[Item]
    ) -> KeptConversation:
        now = int(self._clock())
        made = KeptConversation(id, caller.workspace, now, now + self._lifetime, metadata)
        await self._store.put_conversation(made)
        await self._store.append(made, items)
        return made

    async def get(self, caller: Caller, id: str) -> KeptConversation:
        """Raises NotFound."""
        found = await self._store.conversation(caller.workspace, id, int(self._clock()))
        if found is None:
            raise NotFound(f"Conversation with id '{id[:64]}' not found.")
        return found

    async def update(self, caller: Caller, id: str, metadata: Mapping[str, str]) -> KeptConversation:
        """Raises NotFound."""
        changed = replace(self._renewed(await self.get(caller, id)), metadata=metadata)
        await self._store.put_conversation(changed)
        return changed

    async def delete(self, caller: Caller, id: str) -> None:
        """Raises NotFound."""
        await self.get(caller, id)
        await self._store.delete_conversation(caller.workspace, id)

    async def items(self, caller: Caller, id: str) -> list[Item]:
        """Every item, in order. Raises NotFound."""
        return await self._store.items((await self.get(caller, id)).id)

    async def before(self, caller: Caller, id: str, item: Item) -> list[Item]:
        """What stands before an item; nothing when either of them is gone."""
        if await self._store.conversation(caller.workspace, id, int(self._clock())) is None:
            return []
        items = await self._store.items(id)
        at = next((i for i, each in enumerate(items) if each["id"] == item["id"]), 0)
        return items[:at]

    async def item(self, caller: Caller, id: str, item: str) -> Item:
        """Raises NotFound."""
        for each in await self.items(caller, id):
            if each["id"] == item:
                return each
        raise _no_item(item)

    async def add(self, caller: Caller, id: str, items: Sequence[Item]) -> None:
        """Add items at the end. Raises NotFound."""
        await self._store.append(self._renewed(await self.get(caller, id)), items)

    async def extend(self, caller: Caller, id: str, items: Sequence[Item]) -> None:
        """Add what a response was given and said; nothing when the conversation was deleted meanwhile."""
        found = await self._store.conversation(caller.workspace, id, int(self._clock()))
        if found is not None:
            await self._store.append(self._renewed(found), items)

    async def remove(self, caller: Caller, id: str, item: str) -> KeptConversation:
        """Take an item out. Raises NotFound."""
        found = await self.get(caller, id)
        if not await self._store.remove(found.id, item):
            raise _no_item(item)
        return found

    def _renewed(self, conversation: KeptConversation) -> KeptConversation:
        return replace(conversation, expires_at=int(self._clock()) + self._lifetime)


def _no_item(id: str) -> NotFound:
    return NotFound(f"Item with id '{id[:64]}' not found.")
