"""Jobs over a real store that is away for a moment."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from haiga.core.access import Caller
from haiga.core.images import ImageRequest
from haiga.core.painting import ImageJob
from haiga.core.ports import ImageEngine
from haiga.engines.fake_painter import FakePainter
from haiga.services.images import Jobs, Wish, runner
from haiga.services.models import Models
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.image_jobs import DatabaseJobs


class AwayOnce(DatabaseJobs):
    """The first job that is to end meets no database."""

    away = True

    async def end(self, job: ImageJob) -> bool:
        if self.away:
            self.away = False
            raise OSError("the database is away")
        return await super().end(job)


async def test_jobs_that_are_late_end_though_the_database_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "AGAIN", 0.01)
    painter, now = FakePainter(), [1000.0]
    painters: dict[str, ImageEngine] = {"brush": painter}
    models = Models({}, painters=painters)
    async with connect(tmp_path / "haiga.db") as database:
        store, caller = AwayOnce(database), Caller()
        jobs = Jobs(models, store, DiskBlobs(tmp_path), lambda _, name: models.card(name), clock=lambda: now[0])
        for id in "ab":
            await jobs.submit(caller, ImageRequest("brush", "a boat"), Wish(id=id, deadline=5.0))
        now[0] += 10
        jobs.start()
        try:
            for id in "ab":
                async with asyncio.timeout(10), aclosing(jobs.follow(caller, id)) as followed:
                    last = [seen async for seen in followed][-1].job
                assert ("failed", "deadline") == (last.state, last.reason and last.reason.field)
        finally:
            await jobs.close()
            await models.close()
    assert [] == [line for line in painter.log if line.startswith("paint")]
