"""Whoever counts what is in use: in memory, and in a database for several servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from haiga.core.errors import Busy
from haiga.core.limits import MINUTE, Meter, Want
from haiga.core.ports import Meters
from haiga.services.limits import LocalMeters
from haiga.stores.connect import connect
from haiga.stores.meters import LEASE, DatabaseMeters
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
    slots = Want("slots", 1, 1, drains=False, leased=True)
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


async def test_requests_at_once_are_counted_over_all_servers(url: str) -> None:
    slots = Want("slots", 3, 1, drains=False, leased=True)
    async with connect(url) as database:
        one, other = DatabaseMeters(database), DatabaseMeters(database)
        assert await fits(one, slots) and await fits(other, slots) and await fits(one, slots)
        assert not await fits(one, slots) and not await fits(other, slots)
        await other.give([replace(slots, amount=-1)], NOW)
        assert await fits(one, slots)
        assert not await fits(other, slots)
        passed = await asyncio.gather(*(fits(each, replace(slots, limit=9)) for each in (one, other) * 20))
        assert 6 == sum(passed)


async def test_what_a_server_holds_that_is_gone_is_free_when_its_lease_ends_and_not_before(url: str) -> None:
    slots = Want("slots", 2, 1, drains=False, leased=True)
    async with connect(url) as database:
        dead, alive, other = (DatabaseMeters(database) for _ in range(3))
        assert await fits(dead, slots) and await fits(alive, slots)
        await alive.renew(NOW + LEASE // 2)
        assert not await fits(other, slots, now=NOW + LEASE - 1)
        assert await fits(other, slots, now=NOW + LEASE)
        assert not await fits(other, slots, now=NOW + LEASE)
        # it was only cut off: what it gives back late takes nothing from others
        await dead.give([replace(slots, amount=-1)], NOW + LEASE)
        assert not await fits(dead, slots, now=NOW + LEASE)


async def test_a_server_that_ends_gives_up_what_it_holds(url: str) -> None:
    slots = Want("slots", 1, 1, drains=False, leased=True)
    async with connect(url) as database:
        ending, other = DatabaseMeters(database), DatabaseMeters(database)
        ending.start()
        assert await fits(ending, slots)
        await ending.close()
        assert await fits(other, slots)


@pytest.mark.parametrize("requests", [800])
async def test_over_two_processes_none_is_over_and_none_refused_that_fits(url: str, requests: int) -> None:
    """`python -m bench limits` does the same with ten thousand."""
    expected, passed = await metered.contest(url, requests)
    assert expected == passed


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
