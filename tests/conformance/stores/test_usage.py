"""What requests used, added up by any database."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.generation import Usage
from haiga.core.records import Cost, Question, Record, Total
from haiga.stores.usage import DatabaseUsage

RECORD = Record(60, "team", "m", key="key_1", usage=Usage(1, 2, 3, 4, 5, 6), cost=Cost(10, 20, 30, 40, 50))


@pytest.fixture
def store(database: AsyncEngine) -> DatabaseUsage:
    return DatabaseUsage(database)


async def test_a_record_comes_back_as_it_went(store: DatabaseUsage) -> None:
    whole = replace(
        RECORD, answer="gen-1", streamed=True, stop="end_turn", latency=0.25, duration=1.5, user="u", session="s",
        discount=-3, requests=0, referer="r", agent="a", asked_for="x", tier="batch", family="openai",
    )  # fmt: skip
    await store.write([whole])
    assert [whole] == await store.of("gen-1", "team")
    assert [] == await store.of("gen-1", "another")


async def test_totals_are_by_time_and_group_and_of_what_is_asked_for(store: DatabaseUsage) -> None:
    await store.write(
        [
            replace(RECORD, created_at=at, model=model, key=key)
            for at, model, key in [(59, "a", "k"), (60, "a", "k"), (119, "b", "k"), (60, "a", None), (180, "a", "k")]
        ]
    )
    found = await store.totals(Question(60, 180, 60, ("model", "key"), {"workspace": ("team", "other")}))
    assert {(60, ("a", "k"), 1), (60, ("a", None), 1), (60, ("b", "k"), 1)} == {
        (each.start, each.group, each.requests) for each in found
    }
    (everything,) = await store.totals(Question(0, 1000))
    assert Total(0, (), 5, Usage(5, 10, 15, 20, 25, 30), Cost(50, 100, 150, 200, 250)) == everything
    assert [] == await store.totals(Question(0, 1000, only={"model": ("c",)}))


async def test_what_was_spent_is_by_key_or_workspace_and_time(store: DatabaseUsage) -> None:
    await store.write([RECORD, replace(RECORD, created_at=120), replace(RECORD, key="other", workspace="b")])
    assert [300, 150, 150, 0] == [
        await store.spent(only, since)
        for only, since in (({"key": "key_1"}, 0), ({"key": "key_1"}, 61), ({"workspace": "b"}, 0), ({"key": "x"}, 0))
    ]


async def test_records_before_a_time_are_forgotten(store: DatabaseUsage) -> None:
    await store.write([replace(RECORD, created_at=at) for at in (100, 200, 300)])
    assert 1 == await store.forget(200)
    assert 2 == (await store.totals(Question(0, 1000)))[0].requests
