"""The paperwork of batches with files: one clerk's at a time, and over once."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.files import KeptFile
from haiga.core.jobs import Batch, Line, Outcome, Papers, Prepared, Problem
from haiga.stores.batches import DatabaseBatches
from haiga.stores.files import DatabaseFiles

NOW, LATER, UNTIL = 1000, 2000, 1060
PAPERS = Papers("file-1", 3600, {"k": "v\0"})
BATCH = Batch("batch_1", "w", "/v1/embeddings", NOW, NOW + 10**6, "validating", papers=PAPERS, key="key_1")
MADE = KeptFile("file-2", "w", 1, "out.jsonl", "application/jsonl", "batch_output", 10, "d1", True, NOW)


@pytest.fixture
async def store(database: AsyncEngine) -> DatabaseBatches:
    store = DatabaseBatches(database)
    await store.open(BATCH)
    return store


def lines(number: int) -> list[Line]:
    return [Line("batch_1", i, f"c{i}", b"{}") for i in range(number)]


async def begun(store: DatabaseBatches, number: int = 1) -> Batch:
    """The batch with its lines, to be run."""
    taken = await store.take_papers("me", NOW, UNTIL)
    assert taken
    await store.fill(lines(number))
    batch = replace(taken, status="in_progress", total=number, papers=replace(PAPERS, model="m", begun_at=NOW))
    assert await store.conclude("me", batch)
    return batch


async def answered(store: DatabaseBatches) -> None:
    """Every line has its result."""
    await store.prepare("me", [Prepared(line) for line in await store.unread("me", UNTIL, 9)], NOW)
    done = [
        Outcome(line, "succeeded", b"r", 5, input_tokens=7, cached_tokens=2, reasoning_tokens=1)
        for line in await store.claim("me", UNTIL, 9, suspects=False)
    ]
    await store.finish("me", done, NOW)


async def test_a_batch_with_a_file_is_seen_at_once_and_its_lines_once_they_are_counted(store: DatabaseBatches) -> None:
    assert BATCH == await store.get("w", "batch_1")
    assert [] == list((await store.page("w", 9)).batches)
    assert [BATCH] == list((await store.page("w", 9, filed=True)).batches)
    await store.take_papers("me", NOW, NOW)
    await store.fill(lines(2))
    assert [] == await store.unread("me", UNTIL, 9)
    await store.clear("me", "batch_1")
    await begun(store, 2)
    assert ["c0", "c1"] == [line.custom_id for line in await store.unread("me", UNTIL, 9)]


async def test_of_all_clerks_one_has_the_papers(store: DatabaseBatches) -> None:
    taken = await asyncio.gather(*(store.take_papers(f"clerk{i}", NOW, UNTIL) for i in range(4)))
    assert 3 == taken.count(None)
    assert None is await store.take_papers("late", UNTIL - 1, LATER)
    assert BATCH == await store.take_papers("late", UNTIL, LATER)
    assert [False] * 4 == [await store.hold_papers(f"clerk{i}", "batch_1", LATER) for i in range(4)]
    assert await store.hold_papers("late", "batch_1", LATER + 9)
    assert not await store.conclude("clerk0", replace(BATCH, status="in_progress"))


async def test_a_clerk_that_is_late_takes_no_lines_from_a_faster_one(store: DatabaseBatches) -> None:
    await store.take_papers("slow", NOW, NOW)
    await begun(store)
    await store.clear("slow", "batch_1")
    assert 1 == len(await store.unread("me", UNTIL, 9))


async def test_results_become_files_together_with_the_end(store: DatabaseBatches, database: AsyncEngine) -> None:
    await begun(store)
    await answered(store)
    finished = await store.take_papers("me", NOW, UNTIL)
    assert finished and finished.papers and ("finalizing", NOW) == (finished.status, finished.papers.finalizing_at)
    counts = finished.counts
    assert (1, 5, 7, 2, 1) == (
        counts.succeeded,
        counts.output_tokens,
        counts.input_tokens,
        counts.cached_tokens,
        counts.reasoning_tokens,
    )
    results = [(each.result, each.position, each.state) async for each in store.results("batch_1")]
    assert [(b"r", 0, "succeeded")] == results
    ended = replace(finished, status="ended", ended_at=LATER, papers=replace(finished.papers, output="file-2"))
    assert [True, False] == [await store.conclude("me", ended, [MADE]) for _ in range(2)]
    assert (ended, MADE) == (await store.get("w", "batch_1"), await DatabaseFiles(database).get("w", "file-2"))
    assert None is await store.take_papers("me", LATER, LATER + 9)


async def test_a_file_that_is_wrong_fails_its_batch(store: DatabaseBatches) -> None:
    taken = await store.take_papers("me", NOW, UNTIL)
    problems = (Problem("invalid_json_line", "wrong", 3), Problem("empty_file", "none", None, "input_file_id"))
    assert taken and taken.papers
    failed = replace(taken, status="failed", ended_at=NOW, papers=replace(taken.papers, problems=problems))
    assert await store.conclude("me", failed)
    assert failed == await store.get("w", "batch_1") == await store.cancel("w", "batch_1", LATER)


async def test_a_batch_that_is_canceled_while_its_file_is_read_has_no_lines(store: DatabaseBatches) -> None:
    taken = await store.take_papers("me", NOW, UNTIL)
    await store.fill(lines(2))
    canceled = await store.cancel("w", "batch_1", LATER)
    assert canceled and ("ended", LATER, LATER) == (canceled.status, canceled.ended_at, canceled.cancel_initiated_at)
    await store.fill([replace(line, position=line.position + 2) for line in lines(2)])
    assert taken and not await store.hold_papers("me", "batch_1", LATER + 9)
    assert not await store.conclude("me", replace(taken, status="in_progress", total=4))
    await store.clear("me", "batch_1")
    assert [] == [each async for each in store.results("batch_1")]
    assert canceled == await store.get("w", "batch_1")


async def test_a_canceled_batch_has_its_results_written(store: DatabaseBatches) -> None:
    await begun(store, 2)
    await store.cancel("w", "batch_1", NOW + 1)
    await store.sweep(NOW + 2)
    batch = await store.take_papers("me", NOW + 2, UNTIL)
    assert batch and ("finalizing", 2, NOW + 1) == (batch.status, batch.counts.canceled, batch.cancel_initiated_at)
