"""Upstreams come back from any database as they went."""

from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.ports import Capabilities
from haiga.core.records import Price
from haiga.core.upstreams import KnownModel, Upstream
from haiga.stores.upstreams import DatabaseUpstreams

KNOWN = KnownModel("m", "M", 1, 2, 3, Capabilities(images=True), Price(Decimal("0.1"), Decimal("1e-7")))
FAR = Upstream("far", "openrouter", "http://x/v1", "KEY", (("far/*", "*"),), 4, 1.5, "http://p", 9, (KNOWN,))
OLDER = Upstream("old", "anthropic", "http://y", None, (("a", "b"),), added_at=1)


async def test_upstreams_come_back_oldest_first(database: AsyncEngine) -> None:
    store = DatabaseUpstreams(database)
    await store.put(FAR)
    await store.put(OLDER)
    assert [OLDER, FAR] == await store.all()


async def test_one_of_the_same_name_is_replaced(database: AsyncEngine) -> None:
    store = DatabaseUpstreams(database)
    await store.put(OLDER)
    changed = Upstream("old", "openai", "http://z", None, ())
    await store.put(changed)
    assert [changed] == await store.all()
    assert [True, False] == [await store.remove("old"), await store.remove("old")]
