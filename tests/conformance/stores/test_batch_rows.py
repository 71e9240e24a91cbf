"""Batches in the database: whatever the order of events, each line has one result and its batch counts it once."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.jobs import KEPT, RECEIVED, SUSPECT, Batch, Line, Outcome, Page, Prepared, Result, Rules
from haiga.stores.batches import DatabaseBatches
from haiga.stores.connect import connect

NOW, LATER = 1000, 2000
RULES = Rules("2023-06-01", ("beta-1", "beta-2"), "all")
BATCH = Batch("b1", "w", "/v1/messages", NOW, NOW + 100, rules=RULES)


@pytest.fixture
def store(database: AsyncEngine) -> DatabaseBatches:
    return DatabaseBatches(database)


async def put(store: DatabaseBatches, lines: int, batch: Batch = BATCH) -> None:
    await store.open(batch)
    await store.fill([Line(batch.id, i, f"c{i}", b"{}") for i in range(lines)])
    assert await store.seal(replace(batch, status="in_progress", total=lines))


async def prepare(store: DatabaseBatches, *digests: str | None) -> None:
    """Read every line; the digests are given in turn."""
    lines = await store.unread("me", NOW + 10, 100)
    digests = digests or (None,)
    await store.prepare("me", [Prepared(line, "", digests[i % len(digests)]) for i, line in enumerate(lines)], NOW)


async def claim(store: DatabaseBatches, worker: str = "me", limit: int = 100) -> list[Line]:
    return await store.claim(worker, NOW + 10, limit, suspects=False)


def done(line: Line, result: bytes = b'{"type":"succeeded"}') -> Outcome:
    return Outcome(line, "succeeded", result, output_tokens=5)


async def told(store: DatabaseBatches, id: str = "b1") -> list[tuple[str, bytes, bool]]:
    return [(each.custom_id, each.result, each.reused) async for each in store.results(id)]


async def test_a_batch_is_not_there_before_it_was_received_whole(store: DatabaseBatches) -> None:
    await store.open(BATCH)
    await store.fill([Line("b1", 0, "c0", b"{}")])
    assert (None, Page(), [], []) == (
        await store.get("w", "b1"),
        await store.page("w", 9),
        await store.unread("me", NOW, 9),
        await claim(store),
    )
    sealed = replace(BATCH, status="in_progress", total=1)
    assert await store.seal(sealed)
    assert sealed == await store.get("w", "b1")
    assert None is await store.get("x", "b1")
    (line,) = await store.unread("me", NOW, 9)
    assert ("c0", b"{}", "w", "/v1/messages", RULES) == (
        line.custom_id,
        line.params,
        line.workspace,
        line.endpoint,
        line.rules,
    )


async def test_a_batch_that_was_never_received_whole_is_forgotten(store: DatabaseBatches) -> None:
    await store.open(BATCH)
    await store.sweep(NOW + RECEIVED - 1)
    assert await store.seal(replace(BATCH, status="receiving"))
    await store.sweep(NOW + RECEIVED)
    assert not await store.seal(BATCH)


async def test_lines_are_claimed_once_and_sorted(store: DatabaseBatches) -> None:
    await put(store, 4)
    lines = await store.unread("me", NOW, 100)
    await store.prepare("me", [Prepared(line, "zyxw"[i]) for i, line in enumerate(lines)], NOW)
    assert [(3, 1), (2, 1)] == [(line.position, line.tries) for line in await claim(store, limit=2)]
    assert [1, 0] == [line.position for line in await claim(store, "other")]
    assert [] == await claim(store)


async def test_turns_go_to_the_workspace_and_the_batch_with_the_fewest_lines_under_way(store: DatabaseBatches) -> None:
    for id, workspace in (("b1", "w"), ("b2", "w"), ("b3", "x")):
        await put(store, 8, replace(BATCH, id=id, workspace=workspace))
    await prepare(store)
    taken = [(await claim(store, limit=2))[0].batch for _ in range(8)]
    assert ["b1", "b3", "b2", "b3", "b1", "b3", "b2", "b3"] == taken
    assert ["b1", "b2"] == [(await claim(store, limit=2))[0].batch for _ in range(2)]


async def test_what_is_being_canceled_is_not_begun(store: DatabaseBatches) -> None:
    await put(store, 1)
    await prepare(store)
    await store.cancel("w", "b1", NOW)
    assert [] == await claim(store)


async def test_several_who_take_lines_at_once_get_different_ones(store: DatabaseBatches) -> None:
    await put(store, 40)
    names = [f"worker_{i}" for i in range(5)]
    read = await asyncio.gather(*(store.unread(name, NOW + 10, 8) for name in names))
    assert list(range(40)) == sorted(line.position for lines in read for line in lines)
    prepared = [[Prepared(line) for line in lines] for lines in read]
    await asyncio.gather(*(store.prepare(name, lines, NOW) for name, lines in zip(names, prepared, strict=True)))
    taken = [line for _ in range(3) for lines in await _all_claim(store, names) for line in lines]
    assert list(range(40)) == sorted(line.position for line in taken)


async def _all_claim(store: DatabaseBatches, names: list[str]) -> list[list[Line]]:
    return await asyncio.gather(*(claim(store, name, 8) for name in names))


async def test_identical_lines_that_several_read_at_once_are_run_once(store: DatabaseBatches) -> None:
    await put(store, 40)
    names = [f"worker_{i}" for i in range(5)]
    read = await asyncio.gather(*(store.unread(name, NOW + 10, 8) for name in names))
    prepared = [[Prepared(line, digest=f"d{line.position % 3}") for line in lines] for lines in read]
    await asyncio.gather(*(store.prepare(name, lines, NOW) for name, lines in zip(names, prepared, strict=True)))
    lines = await claim(store)
    assert ["d0", "d1", "d2"] == sorted(line.digest or "" for line in lines)
    await store.finish("me", [done(line) for line in lines], NOW)
    assert 40 == len(await told(store))


async def test_lines_of_a_reader_that_is_gone_are_read_by_another(store: DatabaseBatches) -> None:
    await put(store, 2)
    lines = await store.unread("gone", NOW + 10, 9)
    await store.sweep(NOW + 9)
    assert [] == await store.unread("me", NOW + 20, 9)
    await store.sweep(NOW + 10)
    assert 2 == len(await store.unread("me", NOW + 20, 9))
    await store.prepare("gone", [Prepared(line) for line in lines], NOW)
    assert [] == await claim(store)


async def test_what_is_released_was_never_taken(store: DatabaseBatches) -> None:
    await put(store, 4)
    await prepare(store)
    await put(store, 2, replace(BATCH, id="b2"))
    await store.unread("me", NOW + 10, 9)
    await claim(store, limit=2)
    others = await claim(store, "other", limit=1)
    await store.release("me")
    assert 2 == len(await store.unread("other", NOW + 10, 9))
    assert [(0, 1), (1, 1), (3, 1)] == [(line.position, line.tries) for line in await claim(store)]
    assert [2] == [line.position for line in others]


async def test_only_who_holds_a_line_gives_its_result(store: DatabaseBatches) -> None:
    await put(store, 1)
    await prepare(store)
    (line,) = await claim(store, "gone")
    await store.sweep(NOW + 9)
    assert [] == await claim(store)
    await store.sweep(NOW + 10)
    (again,) = await claim(store, "me")
    assert 2 == again.tries
    await store.finish("gone", [done(line, b"late")], LATER)
    await store.finish("me", [done(again, b"mine")], LATER)
    await store.finish("me", [done(again, b"twice")], LATER)
    assert [("c0", b"mine", False)] == await told(store)
    batch = await store.get("w", "b1")
    assert batch and ("ended", LATER, 1, 5) == (
        batch.status,
        batch.ended_at,
        batch.counts.succeeded,
        batch.counts.output_tokens,
    )


async def test_what_is_renewed_is_not_lost(store: DatabaseBatches) -> None:
    await put(store, 2)
    await prepare(store)
    await claim(store, "me", limit=1)
    await claim(store, "other", limit=1)
    assert {("b1", 0)} == await store.renew("me", NOW + 50)
    await store.sweep(NOW + 20)
    assert [1] == [line.position for line in await claim(store)]


async def test_a_line_given_back_may_keep_its_try(store: DatabaseBatches) -> None:
    await put(store, 1)
    await prepare(store)
    for counted, tries in ((True, 1), (False, 2), (True, 2), (True, 3)):
        (line,) = await claim(store)
        assert tries == line.tries
        await store.finish("me", [Outcome(line, counted=counted)], NOW)
    assert SUSPECT == 3
    assert [] == await claim(store)
    assert [4] == [line.tries for line in await store.claim("me", NOW, 9, suspects=True)]


async def test_identical_lines_share_one_answer_in_a_batch_and_later(store: DatabaseBatches) -> None:
    await put(store, 4)
    await prepare(store, "same", "other")
    lines = await claim(store)
    assert [0, 1] == [line.position for line in lines]
    await store.finish("me", [done(line, b"%d" % line.position) for line in lines], NOW)
    assert [("c0", b"0", False), ("c1", b"1", False), ("c2", b"0", True), ("c3", b"1", True)] == await told(store)
    batch = await store.get("w", "b1")
    assert batch and ("ended", 4, 10) == (batch.status, batch.counts.succeeded, batch.counts.output_tokens)
    await put(store, 1, replace(BATCH, id="b2"))
    await prepare(store, "same")
    assert [("c0", b"0", True)] == await told(store, "b2")
    assert [] == await claim(store)


async def test_when_the_first_of_identical_lines_fails_the_next_is_run(store: DatabaseBatches) -> None:
    await put(store, 3)
    await prepare(store, "same")
    (line,) = await claim(store)
    await store.finish("me", [Outcome(line, "errored", b"bad")], NOW)
    (line,) = await claim(store)
    await store.finish("me", [done(line, b"good")], NOW)
    assert [("c0", b"bad", False), ("c1", b"good", False), ("c2", b"good", True)] == await told(store)


async def test_deleting_a_batch_takes_nothing_from_others(store: DatabaseBatches) -> None:
    await put(store, 1)
    await prepare(store, "same")
    await store.finish("me", [done(line, b"kept") for line in await claim(store)], NOW)
    await put(store, 1, replace(BATCH, id="b2"))
    await prepare(store, "same")
    await store.drop("b1")
    assert ([("c0", b"kept", True)], []) == (await told(store, "b2"), await told(store, "b1"))


async def test_results_go_after_the_time_that_the_store_was_told(database: AsyncEngine) -> None:
    store = DatabaseBatches(database, keep=60)
    await put(store, 1)
    await prepare(store)
    await store.finish("me", [done(line) for line in await claim(store)], NOW)
    await store.sweep(NOW + 59)
    assert 1 == len(await told(store))
    await store.sweep(NOW + 60)
    assert [] == await told(store)


async def test_results_go_after_their_time_and_the_batch_stays(store: DatabaseBatches) -> None:
    await put(store, 1)
    await prepare(store)
    await store.finish("me", [done(line) for line in await claim(store)], NOW)
    await store.sweep(NOW + KEPT - 1)
    assert 1 == len(await told(store))
    await store.sweep(NOW + KEPT)
    batch = await store.get("w", "b1")
    assert batch and (NOW + KEPT, False, 1) == (batch.archived_at, batch.readable, batch.counts.succeeded)
    assert [] == await told(store)


EVENTS = st.lists(st.sampled_from(["claim", "rob", "finish", "fail", "back", "cancel", "tick", "read"]), max_size=25)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(EVENTS, st.lists(st.sampled_from([None, "x", "y"]), min_size=6, max_size=6))
async def test_whatever_happens_each_line_ends_with_one_result_that_is_counted_once(
    new_place: Callable[[], Path | str], events: list[str], digests: list[str | None]
) -> None:
    async with connect(new_place()) as database:
        store = DatabaseBatches(database)
        await put(store, 4)
        await put(store, 2, replace(BATCH, id="b2"))
        held: list[Line] = []
        seen: dict[tuple[str, str], Result] = {}
        now = NOW
        for event in [*events, "read", "tick"]:
            match event:
                case "read":
                    lines = await store.unread("me", now + 10, 3)
                    prepared = [Prepared(line, "", digests[line.position + 4 * (line.batch == "b2")]) for line in lines]
                    await store.prepare("me", prepared, now)
                case "claim" | "rob":
                    held += await claim(store, "me" if event == "claim" else "other", 1)
                case "finish" | "fail" if held:
                    line = held.pop()
                    state = "succeeded" if event == "finish" else "errored"
                    await store.finish("me", [Outcome(line, state, b"r")], now)  # type: ignore[arg-type]
                case "back" if held:
                    await store.finish("me", [Outcome(held.pop())], now)
                case "cancel":
                    await store.cancel("w", "b1", now)
                case "tick":
                    now += 20
                    await store.sweep(now)
            for id in ("b1", "b2"):
                await _check(store, id, seen)
        await store.sweep(NOW + 100)
        for id, total in (("b1", 4), ("b2", 2)):
            batch = await store.get("w", id)
            assert batch and ("ended", total, total) == (batch.status, batch.counts.done, len(await told(store, id)))


async def _check(store: DatabaseBatches, id: str, seen: dict[tuple[str, str], Result]) -> None:
    """Results never change, and the counts are those of the results."""
    results = [each async for each in store.results(id)]
    final = [each for each in results if not each.result.startswith(b'{"type":"') or b"cele" in each.result]
    final += [each for each in results if b"expired" in each.result]
    for result in final:
        assert result == seen.setdefault((id, result.custom_id), result)
    batch = await store.get("w", id)
    assert batch and batch.counts.done == len(final), Counter(each.result for each in results)
