"""Whoever counts what is in use: in memory, and in a database for several servers."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from haiga.core.errors import Busy
from haiga.core.limits import MINUTE, Meter, Want
from haiga.core.ports import Meters
from haiga.services.limits import LocalMeters
from haiga.stores.connect import connect
from haiga.stores.meters import DatabaseMeters
from tests.conformance import metered
from tests.postgres import Cluster

NOW = 1_800_000_000_000_000
A, B = Want("a", 60, 50), Want("b", 10, 8)


@pytest.fixture
def url(emptied: Callable[[], str]) -> str:
    return emptied()


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("url")


@pytest.fixture
async def meters(place: str | None) -> AsyncIterator[Meters]:
    if place is None:
        yield LocalMeters()
        return
    async with connect(place) as database:
        yield DatabaseMeters(database)


async def fits(meters: Meters, *wants: Want, now: int = NOW) -> bool:
    found = await meters.take(wants, now)
    return not any(meter.over(want) for meter, want in zip(found, wants, strict=True))


async def test_all_wants_are_taken_or_none(meters: Meters) -> None:
    assert await fits(meters, A, B)
    assert not await fits(meters, replace(A, amount=10), B)
    assert await fits(meters, replace(A, amount=10), replace(B, amount=2))
    assert not await fits(meters, replace(A, amount=1))


async def test_what_was_in_use_is_told_as_it_stood_before(meters: Meters) -> None:
    assert [Meter(0, NOW)] == await meters.take([A], NOW)
    assert [Meter(50 * MINUTE, NOW)] == await meters.take([A], NOW)
    assert [Meter(20 * MINUTE, NOW + MINUTE // 2)] == await meters.take([A], NOW + MINUTE // 2)


async def test_a_meter_drains_to_the_microsecond(meters: Meters) -> None:
    assert await fits(meters, replace(A, amount=60))
    one = replace(A, amount=1)
    assert not await fits(meters, one, now=NOW + MINUTE // 60 - 1)
    assert await fits(meters, one, now=NOW + MINUTE // 60)


async def test_what_is_given_back_can_be_taken_again_and_more_than_fits_can_be_owed(meters: Meters) -> None:
    assert await fits(meters, A)
    await meters.give([replace(A, amount=-20)], NOW)
    assert await fits(meters, replace(A, amount=30))
    await meters.give([replace(A, amount=100)], NOW)
    assert not await fits(meters, replace(A, amount=1), now=NOW + MINUTE)
    assert Meter(100 * MINUTE, NOW + MINUTE) == meters.seen(A, NOW + MINUTE)


async def test_a_meter_that_does_not_drain_begins_with_what_was_spent(meters: Meters) -> None:
    budget = Want("budget", 10**17, 4 * 10**16, drains=False, start=5 * 10**16)
    assert await fits(meters, budget)
    assert not await fits(meters, budget, now=NOW + 10**13)


async def test_of_many_at_once_exactly_those_pass_that_fit(meters: Meters) -> None:
    one = replace(A, amount=1)
    passed = await asyncio.gather(*(fits(meters, one, replace(B, limit=10**6, amount=1)) for _ in range(100)))
    assert 60 == sum(passed)


async def test_what_was_taken_for_somebody_who_left_is_given_back(url: str) -> None:
    slots = Want("slots", 1, 1, drains=False, shared=False)
    async with connect(url) as database:
        meters = DatabaseMeters(database)
        for steps in range(12):
            taking = asyncio.ensure_future(fits(meters, A, slots))
            for _ in range(steps):
                await asyncio.sleep(0.001)
            if not taking.cancel():
                await meters.give([replace(A, amount=-50), replace(slots, amount=-1)], NOW)
            await asyncio.wait([taking])
            for _ in range(200):
                if await fits(meters, A, slots):
                    break
                await asyncio.sleep(0.005)
            else:
                pytest.fail("it is not there")
            await meters.give([replace(A, amount=-50), replace(slots, amount=-1)], NOW)


async def test_over_several_servers_a_clock_that_is_behind_does_not_drain_a_meter_twice(url: str) -> None:
    async with connect(url) as database:
        ahead, behind = DatabaseMeters(database), DatabaseMeters(database)
        assert await fits(ahead, replace(A, amount=60))
        for _ in range(5):
            assert not await fits(behind, replace(A, amount=31), now=NOW - MINUTE // 2)
            assert not await fits(ahead, replace(A, amount=31), now=NOW + MINUTE // 2)
        assert await fits(ahead, replace(A, amount=30), now=NOW + MINUTE // 2)


async def test_over_two_processes_none_is_over_and_none_refused_that_fits(url: str) -> None:
    """Each of 50 keys is asked for more than it has by two processes at once, at one moment and half a minute later;
    which of them is at which moment is as it comes."""
    async with connect(url):
        command = [sys.executable, metered.__file__, url]
        both = [await asyncio.create_subprocess_exec(*command, str(seed), stdout=subprocess.PIPE) for seed in (1, 2)]
        reports = [json.loads((await process.communicate())[0]) for process in both]
    expected = [metered.limit(key) + metered.limit(key) // 2 for key in range(metered.KEYS)]
    assert expected == [sum(passed) for passed in zip(*reports, strict=True)]
    assert all(map(sum, reports))


async def test_what_cannot_be_given_back_now_is_given_back_with_the_next(own_cluster: Cluster) -> None:
    url = own_cluster.url(own_cluster.database())
    async with connect(url) as database:
        meters = DatabaseMeters(database)
        assert await fits(meters, A)
        own_cluster.stop("immediate")
        await meters.give([replace(A, amount=-50)], NOW)
        with pytest.raises(Busy):
            await meters.take([A], NOW)
        own_cluster.start()
        await meters.give([replace(B, amount=-1)], NOW)
        assert await fits(meters, replace(A, amount=60))
