"""/sdapi/v1/progress, interrupt and skip, and /internal/progress: the caller's own jobs.

Rule: nobody sees or ends a job of another key. Without an id the job that runs is meant, else the one that waits
longest.
"""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import NotFound
from haiga.core.painting import UNFINISHED, Seen
from haiga.services.images import Jobs, pictures_of
from haiga.services.images.encoding import encode
from haiga.web.credentials import authenticate
from haiga.web.sdapi.answers import answer, json
from haiga.web.services import Services
from haiga.wire.body import read_object, read_shape
from haiga.wire.sdapi.read import job_id
from haiga.wire.sdapi.shapes import ProgressBody
from haiga.wire.sdapi.write import Task, write_progress, write_task

MOST = 100  # jobs of a workspace that are looked through


class Tasks:
    def __init__(self, services: Services, jobs: Jobs) -> None:
        self._services = services
        self._jobs = jobs

    async def progress(
        self, request: Request, skip_current_image: bool = False, id_task: str = "", id: str = ""
    ) -> Response:
        """Tell how far the caller's job is."""
        caller = await authenticate(self._services.access, request)
        seen = await self._one(caller, id_task or id)
        return answer(write_progress(await _task(seen, not skip_current_image) if seen else None))

    async def internal(self, request: Request) -> Response:
        """Tell how far a job is, as A1111's own page asks."""
        caller = await authenticate(self._services.access, request)
        asked = read_shape(ProgressBody, read_object(await request.body()))
        seen = await self._named(caller, asked.id_task) if asked.id_task else None
        unfinished = seen if seen and not seen.job.over else None
        task = await _task(unfinished, asked.live_preview) if unfinished else None
        return answer(write_task(task, known=seen is not None))

    async def interrupt(self, request: Request, id_task: str = "") -> Response:
        """End the caller's job before its next step. Its answer has what was made until then."""
        caller = await authenticate(self._services.access, request)
        if seen := await self._one(caller, id_task):
            await self._jobs.cancel(caller, seen.job.id)
        return json({})

    async def skip(self, request: Request, id_task: str = "") -> Response:
        """Leave the picture that the caller's job is making, and go on with its next."""
        caller = await authenticate(self._services.access, request)
        if seen := await self._one(caller, id_task):
            await self._jobs.skip(caller, seen.job.id)
        return answer(b"null")

    async def _one(self, caller: Caller, task: str) -> Seen | None:
        """The caller's job that is meant, unless it is over."""
        if task:
            seen = await self._named(caller, task)
            return seen if seen and not seen.job.over else None
        own = await self._own(caller)
        return next((seen for seen in own if seen.job.state == "running"), own[-1] if own else None)

    async def _own(self, caller: Caller) -> Sequence[Seen]:
        """The caller's jobs that are not over, newest first."""
        seen, _ = await self._jobs.list(caller, MOST, states=UNFINISHED)
        return [each for each in seen if each.job.key == caller.key]

    async def _named(self, caller: Caller, task: str) -> Seen | None:
        try:
            seen = await self._jobs.get(caller, job_id(task) or "")
        except NotFound:
            return None
        return seen if seen.job.key == caller.key else None


async def _task(seen: Seen, shown: bool) -> Task:
    progress = seen.progress
    preview = progress.preview if progress and shown else None
    done = progress.step / progress.steps if progress and progress.steps else 0.0
    return Task(
        id=seen.job.id,
        running=seen.job.state == "running",
        done=done,
        progress=progress,
        pictures=pictures_of(seen.job),
        created_at=seen.job.created_at,
        eta=seen.eta,
        preview=await asyncio.to_thread(encode, preview) if preview else None,
    )
