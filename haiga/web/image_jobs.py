"""Handlers of /v1/jobs: jobs for pictures, asked for, looked at, watched, ended.

Rule: nobody waits for a job but by watching it, and whoever stops watching leaves it as it is.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from haiga.core.access import Caller
from haiga.core.errors import Denied, HaigaError
from haiga.core.generation import Finished, Usage
from haiga.core.painting import JobState
from haiga.services.images import Jobs, Wish
from haiga.services.images.styles import with_styles
from haiga.services.images.taking import Taker
from haiga.web.credentials import authenticate
from haiga.web.families import error_response, request_id
from haiga.web.painting import default_model, shown
from haiga.web.services import Services
from haiga.web.streaming import stream_reply
from haiga.wire import image_jobs as wire

GONE = (WebSocketDisconnect, OSError)
END = Finished("end_turn", Usage())
PARAMS = {"beside": "more_images", "quality": "output_compression"}


class ImageJobs:
    def __init__(self, services: Services, jobs: Jobs, taker: Taker) -> None:
        self._services = services
        self._jobs = jobs
        self._taker = taker

    async def create(self, request: Request) -> Response:
        """Have pictures made; the answer comes at once, with the job's place in the queue."""
        caller = await self._caller(request)
        body = wire.read_job(await request.body())
        told = body.pictures()
        wish = Wish(body.id, body.priority, body.deadline, body.lifetime, body.output_format, body.output_compression)
        async with self._taker.room(len(told)):
            pictures = {at: await self._taker.picture(each, at, mask=at.endswith("mask")) for at, each in told.items()}
            asked = wire.request_of(body, default_model(self._services, caller), pictures)
            if body.styles:
                asked = with_styles(asked, body.styles, self._services.palette().styles)
            try:
                seen = await self._jobs.submit(caller, asked, wish)
            except HaigaError as error:
                error.field = PARAMS.get(error.field or "", error.field)
                raise
        return Response(
            wire.write_job(seen), 202, {"location": f"/v1/jobs/{seen.job.id}"}, media_type="application/json"
        )

    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        after: Annotated[str | None, Query(description="The last job of the page before.")] = None,
        status: Annotated[JobState | None, Query(description="Those in this state alone.")] = None,
    ) -> Response:
        """List the workspace's jobs, newest first."""
        states = () if status is None else (status,)
        found, more = await self._jobs.list(await self._caller(request), limit, after, states)
        return _json(wire.write_jobs(found, more))

    async def get(self, request: Request, id: str) -> Response:
        """A job as it is."""
        return _json(wire.write_job(await self._jobs.get(await self._caller(request), id)))

    async def cancel(self, request: Request, id: str) -> Response:
        """End a job before its next step; one that has ended stays as it is."""
        return _json(wire.write_job(await self._jobs.cancel(await self._caller(request), id)))

    async def skip(self, request: Request, id: str) -> Response:
        """Leave the picture that a job is making, and go on with its next."""
        return _json(wire.write_job(await self._jobs.skip(await self._caller(request), id)))

    async def delete(self, request: Request, id: str) -> Response:
        """Forget a job and its pictures."""
        await self._jobs.delete(await self._caller(request), id)
        return _json(wire.write_job_deleted(id))

    async def picture(self, request: Request, id: str, number: int) -> Response:
        """The file of a picture that a job made, counted from 0."""
        kept, data = await self._jobs.picture(await self._caller(request), id, number)
        headers = {"x-content-type-options": "nosniff", "cache-control": "private, max-age=3600"}
        return Response(data, headers=headers, media_type=kept.media_type)

    async def events(self, request: Request, id: str) -> Response:
        """Watch a job as server-sent events, up to its end."""
        caller, settings = await self._caller(request), self._services.settings
        events = self._followed(caller, id)
        return await stream_reply(
            request,
            events,
            wire.JobStream(),
            id=request_id(request.scope),
            patience=settings.patience,
            ping=settings.ping,
        )

    async def watch(self, websocket: WebSocket, id: str) -> None:
        """Watch a job over a WebSocket, up to its end; the client ends it by `{"type": "cancel"}`, and by
        `{"type": "skip"}` leaves the picture that it is making."""
        request = Request({**websocket.scope, "type": "http", "method": "GET"})
        request.scope.setdefault("state", {})["request_id"] = self._services.settings.new_id("req")
        try:
            caller = await self._caller(request)
            await self._jobs.get(caller, id)
        except HaigaError as error:
            await websocket.send_denial_response(error_response(request.scope, error))
            return
        await websocket.accept()
        tasks = {
            asyncio.create_task(self._tell(websocket, caller, id)),
            asyncio.create_task(self._hear(websocket, caller, id)),
        }
        _, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (problem := task.exception()) and not isinstance(problem, GONE):
                raise problem

    async def _tell(self, websocket: WebSocket, caller: Caller, id: str) -> None:
        try:
            async with aclosing(self.watched(caller, id)) as watched:
                async for each in watched:
                    await websocket.send_text(wire.event_text(each))
        except HaigaError as error:
            await websocket.send_text(wire.error_text(error))
        await websocket.close()

    async def _hear(self, websocket: WebSocket, caller: Caller, id: str) -> None:
        """Until the client is gone; what it says wrongly it is told."""
        while True:
            try:
                order = wire.read_order(await websocket.receive_text())
                if caller.readonly:
                    raise Denied("this API key may only read")
                await (self._jobs.cancel if order == "cancel" else self._jobs.skip)(caller, id)
            except HaigaError as error:
                await websocket.send_text(wire.error_text(error))

    async def _followed(self, caller: Caller, id: str) -> "AsyncGenerator[wire.Watched | Finished, None]":
        async with aclosing(self.watched(caller, id)) as watched:
            async for each in watched:
                yield each
        yield END

    async def watched(self, caller: Caller, id: str) -> AsyncGenerator[wire.Watched, None]:
        """The job whenever it has changed, with a preview where there is a new one."""
        last = None
        async with aclosing(self._jobs.follow(caller, id)) as followed:
            async for seen in followed:
                preview = seen.progress.preview if seen.progress else None
                new = preview is not None and preview != last
                last = preview
                yield wire.Watched(seen, await shown(preview) if preview is not None and new else None)

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
