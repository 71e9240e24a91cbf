"""Handlers of /v1/files: one path, two families."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from haiga.core.access import Caller
from haiga.core.errors import Cancelled
from haiga.core.files import KeptFile
from haiga.services.files import Files as Kept
from haiga.services.files import Incoming
from haiga.web.credentials import authenticate
from haiga.web.families import family
from haiga.web.ranges import asked_range
from haiga.web.services import Services
from haiga.wire.anthropic import files as anthropic_files
from haiga.wire.multipart import Form, FormReader
from haiga.wire.openai_files import files as openai_files

MOST = 10_000  # files in a list


class Files:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """Send a file, in a form."""
        caller = await self._caller(request)
        wire = anthropic_files if family(request.scope) == "anthropic" else openai_files
        async with self._kept.receiving(caller, wire.LARGEST) as incoming:
            form = await receive_form(request, incoming, "file")
            file = await incoming.keep(wire.PREFIX, wire.read_file(form))
        return _json(wire.write_file(file))

    async def list(
        self,
        request: Request,
        limit: Annotated[int | None, Query(ge=1, le=MOST)] = None,
        page: Annotated[str | None, Query(description="Anthropic's cursor.")] = None,
        ids: Annotated[list[str] | None, Query(alias="ids[]", description="Anthropic's: these alone.")] = None,
        after_id: str | None = None,
        before_id: str | None = None,
        scope_id: Annotated[str | None, Query(description="Anthropic's; no file here has a scope.")] = None,
        after: Annotated[str | None, Query(description="OpenAI's cursor.")] = None,
        order: Annotated[Literal["asc", "desc"], Query(description="OpenAI's, by time of creation.")] = "desc",
        purpose: Annotated[str | None, Query(description="OpenAI's: those with this purpose alone.")] = None,
    ) -> Response:
        """List the workspace's files, newest first."""
        caller = await self._caller(request)
        if family(request.scope) == "openai":
            newest = order == "desc"
            found = await self._kept.list(caller, limit or MOST, after=after, newest_first=newest, purpose=purpose)
            return _json(openai_files.write_page(found))
        wanted = anthropic_files.read_list(limit, page, ids)
        after_id = wanted.after or after_id
        chosen = () if scope_id is not None else wanted.ids
        found = await self._kept.list(caller, wanted.limit, after=after_id, before=before_id, ids=chosen)
        return _json(anthropic_files.write_page(found))

    async def get(self, request: Request, id: str) -> Response:
        """What is known of a file."""
        file = await self._kept.get(await self._caller(request), id)
        wire = anthropic_files if family(request.scope) == "anthropic" else openai_files
        return _json(wire.write_file(file))

    async def content(self, request: Request, id: str) -> Response:
        """A file's bytes; a `range` of them, when one is asked for."""
        file = await self._kept.get(await self._caller(request), id)
        if family(request.scope) == "anthropic":
            anthropic_files.check_download(file)
        start, stop = asked_range(request.headers.get("range"), file.size) or (0, file.size)
        part = (start, stop) != (0, file.size)
        headers = _headers(file) | {"content-length": str(stop - start)}
        if part:
            headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size}"
        pieces = _closing(self._kept.read(file, start, stop))
        return StreamingResponse(pieces, 206 if part else 200, headers, media_type=file.mime_type)

    async def delete(self, request: Request, id: str) -> Response:
        """Delete a file."""
        await self._kept.delete(await self._caller(request), id)
        wire = anthropic_files if family(request.scope) == "anthropic" else openai_files
        return _json(wire.write_deleted(id))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


async def receive_form(request: Request, incoming: Incoming, file: str) -> Form:
    """The form in a request's body, its file written as it arrives. Raises Invalid."""
    reader = FormReader(request.headers.get("content-type", ""), file)
    try:
        async for piece in request.stream():
            if found := reader.feed(piece):
                await incoming.write(found)
    except ClientDisconnect:
        raise Cancelled("the client went away") from None
    return reader.close()


async def _closing(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


def _headers(file: KeptFile) -> dict[str, str]:
    """A browser is to save what somebody sent, never to show it as a page of this server."""
    return {
        "content-disposition": f"attachment; filename*=utf-8''{quote(file.filename, safe='')}",
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
    }


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
