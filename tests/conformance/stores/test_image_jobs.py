"""Jobs that make pictures are kept, held, and changed once."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.painting import ImageJob, JobFilter, KeptPicture, Reason
from haiga.stores.files import DatabaseFiles
from haiga.stores.image_jobs import DatabaseJobs

PICTURE = KeptPicture("d1", 10, "image/png", 64, 64, 7, {"Steps": "2"})


def job(serial: int, id: str | None = None, workspace: str = "w", **changes: object) -> ImageJob:
    new = ImageJob(id or f"j{serial}", workspace, serial, "m", b"{}", created_at=serial, expires_at=1000)
    return replace(new, **changes)  # type: ignore[arg-type]


@pytest.fixture
def jobs(database: AsyncEngine) -> DatabaseJobs:
    return DatabaseJobs(database)


async def test_a_job_is_found_as_it_was_kept_in_its_workspace_alone(jobs: DatabaseJobs) -> None:
    kept = job(1, key="k", inputs=("b", "a"), priority=-1, deadline=50.5)
    assert await jobs.add(kept, until=30)
    assert (kept, None) == (await jobs.get("w", "j1"), await jobs.get("x", "j1"))


async def test_an_id_is_taken_once_in_a_workspace(jobs: DatabaseJobs) -> None:
    assert [True, False, True] == [
        await jobs.add(each, until=30) for each in (job(1, "a"), job(2, "a"), job(3, "a", workspace="x"))
    ]


async def test_pages_are_newest_first_and_filtered(jobs: DatabaseJobs) -> None:
    for serial in range(1, 5):
        await jobs.add(job(serial), until=30)
    await jobs.end(job(2, state="done", ended_at=9.0))
    first = await jobs.page("w", JobFilter(2))
    assert (["j4", "j3"], True) == ([each.id for each in first.jobs], first.more)
    rest = await jobs.page("w", JobFilter(2, before=3))
    assert (["j2", "j1"], False) == ([each.id for each in rest.jobs], rest.more)
    assert ["j2"] == [each.id for each in (await jobs.page("w", JobFilter(9, states=("done", "failed")))).jobs]


async def test_a_job_begins_once_makes_pictures_while_it_runs_and_ends_once(jobs: DatabaseJobs) -> None:
    new = job(1, inputs=("i",))
    await jobs.add(new, until=30)
    assert not await jobs.add_result(new, PICTURE)
    assert [True, False] == [await jobs.begin(new, 5.0), await jobs.begin(new, 6.0)]
    other = replace(PICTURE, digest="d2", seed=8)
    assert [True, True] == [await jobs.add_result(new, each) for each in (PICTURE, other)]
    failed = replace(new, state="failed", ended_at=8.0, reason=Reason("dead", "it died", "f"))
    assert [True, False] == [await jobs.end(failed), await jobs.end(replace(new, state="done", ended_at=9.0))]
    assert not await jobs.add_result(new, PICTURE)
    assert replace(failed, began_at=5.0, results=(PICTURE, other)) == await jobs.get("w", "j1")


async def test_jobs_that_nobody_holds_are_taken_over_oldest_first(jobs: DatabaseJobs) -> None:
    for each, until in ((job(3), 10), (job(1), 10), (job(2), 99), (job(4, state="done"), 10)):
        await jobs.add(each, until)
    assert ["j1", "j3"] == [each.id for each in await jobs.adopt(20, until=50)]
    assert [] == await jobs.adopt(20, until=50)
    assert ["j1", "j2", "j3"] == [each.id for each in await jobs.adopt(20, until=50, everything=True)]


async def test_a_renewal_tells_which_have_not_ended(jobs: DatabaseJobs) -> None:
    one, two = job(1), job(2)
    for each in (one, two):
        await jobs.add(each, until=10)
    await jobs.end(replace(two, state="cancelled", ended_at=5.0))
    assert {"w/j1"} == await jobs.renew([one, two, job(3)], until=60)
    assert [] == await jobs.adopt(20, until=99)


async def test_pictures_are_referenced_until_their_job_is_deleted_or_expires(
    jobs: DatabaseJobs, database: AsyncEngine
) -> None:
    one, two = job(1, inputs=("i",), expires_at=100), job(2, inputs=("j",))
    for each in (one, two):
        await jobs.add(each, until=10)
    await jobs.begin(one, 5.0)
    await jobs.add_result(one, PICTURE)
    files = DatabaseFiles(database)
    assert [] == await jobs.expire(200)  # it has not ended
    await jobs.end(replace(one, state="done", ended_at=6.0))
    assert {"i", "j", "d1"} == await files.referenced(["i", "j", "d1", "none"], 200)
    assert ["d1", "i"] == sorted(await jobs.expire(200))
    assert [True, False] == [await jobs.delete(two), await jobs.delete(two)]
    assert set() == await files.referenced(["i", "j", "d1"], 200)
