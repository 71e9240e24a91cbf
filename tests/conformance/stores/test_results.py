"""Answers that are kept to be given again."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.stores.results import FRESH, DatabaseResults


@pytest.fixture
def results(database: AsyncEngine) -> DatabaseResults:
    return DatabaseResults(database)


async def kept(results: DatabaseResults, *digests: str) -> list[str]:
    return [digest for digest in digests if await results.find("w", digest, 0, 0)]


async def test_what_is_kept_is_found_by_its_workspace_until_it_is_too_old(results: DatabaseResults) -> None:
    await results.keep("w", "a", b"one", 100)
    assert [b"one", None, None, None] == [
        await results.find("w", "a", 100, 100),
        await results.find("w", "a", 101, 100),
        await results.find("x", "a", 0, 100),
        await results.find("w", "b", 0, 100),
    ]


async def test_what_is_kept_again_is_replaced(results: DatabaseResults) -> None:
    for body, now in ((b"one", 100), (b"two", 200)):
        await results.keep("w", "a", body, now)
    assert b"two" == await results.find("w", "a", 150, 200)


async def test_a_trim_forgets_what_is_old_and_then_what_was_used_longest_ago(results: DatabaseResults) -> None:
    for now, digest in enumerate(("old", "first", "second", "third")):
        await results.keep("w", digest, b"x" * 10, now)
    await results.find("w", "first", 0, FRESH + 1)
    await results.trim(20, 1)
    assert ["first", "third"] == await kept(results, "old", "first", "second", "third")
    await results.trim(9, 0)
    assert [] == await kept(results, "first", "third")
