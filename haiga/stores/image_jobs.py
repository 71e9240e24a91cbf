"""Jobs that make pictures, in the database; implements core.ports.JobStore.

Rule: a job comes to a state only from those that it may come from, which the statement itself asks.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.painting import OVER, UNFINISHED, ImageJob, JobFilter, JobPage, KeptPicture, Reason
from haiga.stores.picture_tables import IMAGE_JOBS, IMAGE_PICTURES

J, P = IMAGE_JOBS.c, IMAGE_PICTURES.c
PLAIN = [column.name for column in IMAGE_JOBS.columns if column.name not in ("until", "reason")]
SOME = 200  # jobs at a time


class DatabaseJobs:
    """Rows in the tables image_jobs and image_pictures."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, job: ImageJob, until: float) -> bool:
        """See JobStore."""
        row = {name: getattr(job, name) for name in PLAIN} | {"until": until}
        inputs = [_picture(job, False, place, digest) for place, digest in enumerate(job.inputs)]
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(IMAGE_JOBS).values(row))
                if inputs:
                    await connection.execute(insert(IMAGE_PICTURES), inputs)
        except IntegrityError:
            return False
        return True

    async def get(self, workspace: str, id: str) -> ImageJob | None:
        """See JobStore."""
        query = select(IMAGE_JOBS).where(J.workspace == workspace, J.id == id)
        async with self._engine.connect() as connection:
            found = await _jobs(connection, (await connection.execute(query)).mappings().all())
        return found[0] if found else None

    async def page(self, workspace: str, wanted: JobFilter) -> JobPage:
        """See JobStore."""
        query = select(IMAGE_JOBS).where(J.workspace == workspace)
        if wanted.before is not None:
            query = query.where(J.serial < wanted.before)
        if wanted.states:
            query = query.where(J.state.in_(wanted.states))
        query = query.order_by(J.serial.desc(), J.id).limit(wanted.limit + 1)
        async with self._engine.connect() as connection:
            found = await _jobs(connection, (await connection.execute(query)).mappings().all())
        return JobPage(tuple(found[: wanted.limit]), len(found) > wanted.limit)

    async def begin(self, job: ImageJob, at: float) -> bool:
        """See JobStore."""
        return await self._change(job, ("queued",), {"state": "running", "began_at": at})

    async def add_result(self, job: ImageJob, picture: KeptPicture) -> bool:
        """See JobStore."""
        running = select(J.state).where(*_is(job), J.state == "running").with_for_update()
        made = select(func.count()).where(P.workspace == job.workspace, P.job == job.id, P.made)
        async with self._engine.begin() as connection:
            if (await connection.execute(running)).first() is None:
                return False
            place = (await connection.execute(made)).scalar_one()
            row = _picture(job, True, place, picture.digest) | {"body": json.dumps(asdict(picture))}
            await connection.execute(insert(IMAGE_PICTURES).values(row))
        return True

    async def end(self, job: ImageJob) -> bool:
        """See JobStore."""
        reason = json.dumps(asdict(job.reason)) if job.reason else None
        return await self._change(job, UNFINISHED, {"state": job.state, "ended_at": job.ended_at, "reason": reason})

    async def delete(self, job: ImageJob) -> bool:
        """See JobStore."""
        async with self._engine.begin() as connection:
            gone = await connection.execute(delete(IMAGE_JOBS).where(*_is(job)))
            await connection.execute(delete(IMAGE_PICTURES).where(P.workspace == job.workspace, P.job == job.id))
        return gone.rowcount == 1

    async def renew(self, jobs: Collection[ImageJob], until: float) -> set[str]:
        """See JobStore."""
        alive: set[str] = set()
        held = [(job.workspace, job.id) for job in jobs]
        for start in range(0, len(held), SOME):
            ours = tuple_(J.workspace, J.id).in_(held[start : start + SOME])
            renewed = update(IMAGE_JOBS).where(ours, J.state.in_(UNFINISHED)).values(until=until)
            async with self._engine.begin() as connection:
                rows = await connection.execute(renewed.returning(J.workspace, J.id))
                alive |= {f"{workspace}/{id}" for workspace, id in rows}
        return alive

    async def adopt(self, now: float, until: float, everything: bool = False) -> list[ImageJob]:
        """See JobStore."""
        free = J.state.in_(UNFINISHED) if everything else J.state.in_(UNFINISHED) & (J.until < now)
        taken = update(IMAGE_JOBS).where(free).values(until=until).returning(IMAGE_JOBS)
        async with self._engine.begin() as connection:
            found = await _jobs(connection, (await connection.execute(taken)).mappings().all())
        return sorted(found, key=lambda job: job.serial)

    async def expire(self, now: float) -> list[str]:
        """See JobStore."""
        late = select(J.workspace, J.id).where(J.state.in_(OVER), J.expires_at <= now)
        async with self._engine.begin() as connection:
            theirs = tuple_(P.workspace, P.job).in_(late)
            digests = await connection.execute(delete(IMAGE_PICTURES).where(theirs).returning(P.digest))
            found = list(digests.scalars())
            await connection.execute(delete(IMAGE_JOBS).where(J.state.in_(OVER), J.expires_at <= now))
        return found

    async def _change(self, job: ImageJob, states: Sequence[str], values: Mapping[str, Any]) -> bool:
        changed = update(IMAGE_JOBS).where(*_is(job), J.state.in_(states)).values(**values)
        async with self._engine.begin() as connection:
            return (await connection.execute(changed)).rowcount == 1


def _is(job: ImageJob) -> tuple[Any, Any]:
    return J.workspace == job.workspace, J.id == job.id


def _picture(job: ImageJob, made: bool, place: int, digest: str) -> dict[str, Any]:
    return {"workspace": job.workspace, "job": job.id, "made": made, "place": place, "digest": digest, "body": None}


async def _jobs(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[ImageJob]:
    """The jobs of these rows, in their order, with their pictures."""
    pictures: dict[tuple[str, str], list[RowMapping]] = {}
    for start in range(0, len(rows), SOME):
        named = [(row["workspace"], row["id"]) for row in rows[start : start + SOME]]
        query = select(IMAGE_PICTURES).where(tuple_(P.workspace, P.job).in_(named)).order_by(P.place)
        for each in (await connection.execute(query)).mappings():
            pictures.setdefault((each["workspace"], each["job"]), []).append(each)
    return [_job(row, pictures.get((row["workspace"], row["id"]), ())) for row in rows]


def _job(row: RowMapping, pictures: Iterable[RowMapping]) -> ImageJob:
    own = list(pictures)
    return ImageJob(
        **{name: row[name] for name in PLAIN},
        reason=Reason(**json.loads(row["reason"])) if row["reason"] else None,
        inputs=tuple(each["digest"] for each in own if not each["made"]),
        results=tuple(KeptPicture(**json.loads(each["body"])) for each in own if each["made"]),
    )
