"""What is remembered of answered requests."""

from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal

import pytest

from haiga.core.errors import Failed
from haiga.core.generation import Choice, Finished, Routed, Started, TextDelta, Usage
from haiga.core.records import Generation, Price
from haiga.services.generations import RecentGenerations, recorded

USAGE = Usage(input=10, cache_read=100, output=5)
PRICE = Price(Decimal("0.02"), Decimal("0.5"), cache_read=Decimal("0.01"))


def draft(id: str = "g", workspace: str = "w", at: float = 100.0) -> Generation:
    return Generation(id, "", workspace, at, "req", "auto", streamed=True)


async def stream(fails: bool = False) -> AsyncGenerator[Routed | Choice | Finished, None]:
    yield Routed("m")
    yield Choice(0, Started(Usage(input=10, cache_read=100)))
    yield Choice(0, TextDelta(0, "hi"))
    if fails:
        raise Failed("burnt down")
    yield Choice(0, Finished("max_tokens", USAGE))
    yield Finished("end_turn", USAGE)


def ticking() -> Iterator[float]:
    yield from (100.5 + tick for tick in range(99))


def recording(store: RecentGenerations, fails: bool = False) -> AsyncGenerator[Routed | Choice | Finished, None]:
    ticks = ticking()
    return recorded(stream(fails), draft(), store, lambda name: PRICE, lambda: next(ticks))


async def test_an_answer_is_remembered_by_the_time_its_end_is_told() -> None:
    store = RecentGenerations()
    async for item in recording(store):
        if isinstance(item, Finished):
            kept = await store.get("g", "w")
    assert kept is not None
    assert ("m", False, "max_tokens", USAGE) == (kept.model, kept.cancelled, kept.stop, kept.usage)
    assert (2.5, 5.5) == (kept.latency, kept.duration)
    assert (Decimal("3.7"), Decimal("1.0")) == (kept.cost, kept.discount)


async def test_an_answer_that_failed_or_was_closed_is_remembered_as_cancelled() -> None:
    failing, closed = RecentGenerations(), RecentGenerations()
    with pytest.raises(Failed):
        async for _ in recording(failing, fails=True):
            pass
    reading = recording(closed)
    await anext(reading)
    await reading.aclose()
    for store in (failing, closed):
        kept = await store.get("g", "w")
        assert kept is not None
        assert (True, None) == (kept.cancelled, kept.stop)


async def test_only_the_workspaces_own_are_shown_and_only_the_last_ones_kept() -> None:
    store = RecentGenerations(size=2)
    for id in ("a", "b", "c"):
        await store.put(draft(id))
    assert [None, None, "c"] == [
        kept and kept.id for kept in (await store.get("a", "w"), await store.get("c", "x"), await store.get("c", "w"))
    ]


async def test_what_was_spent_is_told_by_workspace_and_time() -> None:
    store = RecentGenerations()
    for i, (workspace, at) in enumerate([("w", 10.0), ("w", 20.0), ("x", 20.0)]):
        kept = Generation(str(i), "m", workspace, at, "r", "m", streamed=False, cost=Decimal(1))
        await store.put(kept)
    assert [Decimal(2), Decimal(1), Decimal(0)] == [
        await store.spent(workspace, since) for workspace, since in (("w", 0), ("w", 15), ("y", 0))
    ]
