"""Kept chat completions."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.chats import ChatFilter, KeptChat
from haiga.stores.chats import DatabaseChats

CHAT = KeptChat("a", "w", "m", 10, 100, {"k": "v"}, {"id": "a", "choices": []}, [{"role": "user", "content": "hi"}])


@pytest.fixture
def chats(database: AsyncEngine) -> DatabaseChats:
    return DatabaseChats(database)


async def test_what_is_put_comes_back_until_it_is_deleted_or_expires(chats: DatabaseChats) -> None:
    await chats.put(CHAT)
    assert [CHAT, None, None] == [
        await chats.get("w", "a", 99),
        await chats.get("w", "a", 100),
        await chats.get("x", "a", 0),
    ]
    changed = replace(CHAT, metadata={})
    await chats.put(changed)
    assert changed == await chats.get("w", "a", 0)
    assert [False, True, False] == [await chats.delete(w, "a") for w in ("x", "w", "w")]


async def test_keeping_one_forgets_the_expired(chats: DatabaseChats) -> None:
    await chats.put(CHAT)
    await chats.put(replace(CHAT, id="b", created_at=100, expires_at=200))
    assert None is await chats.get("w", "a", 0)


async def test_lists_are_ordered_filtered_and_paged(chats: DatabaseChats) -> None:
    for i, name in enumerate("abcd"):
        metadata = {"k": "v", "i": name}
        await chats.put(replace(CHAT, id=name, created_at=10 + i // 2, model="mn"[i % 2], metadata=metadata))
    await chats.put(replace(CHAT, id="e", workspace="x"))

    async def listed(**wanted: object) -> str:
        return "".join(chat.id for chat in await chats.list("w", ChatFilter(**wanted), 50))  # type: ignore[arg-type]

    assert "abcd" == await listed()
    assert ("ab", "cd", "dc") == (
        await listed(limit=2),
        await listed(after="b"),
        await listed(limit=2, newest_first=True),
    )
    assert "a" == await listed(after="b", newest_first=True)
    assert ("bd", "c", "") == (
        await listed(model="n"),
        await listed(metadata={"i": "c"}),
        await listed(metadata={"k": ""}),
    )
