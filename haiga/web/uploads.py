"""Handlers of the OpenAI Uploads API."""

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.services.files import Uploads as Kept
from haiga.web.credentials import authenticate
from haiga.web.files import receive_form
from haiga.web.services import Services
from haiga.wire.openai_files.uploads import read_completion, read_upload, write_part, write_upload


class Uploads:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """Begin a file that arrives in parts, within an hour."""
        caller = await self._caller(request)
        return _json(write_upload(await self._kept.create(caller, *read_upload(await request.body()))))

    async def add_part(self, request: Request, id: str) -> Response:
        """Send a part, in a form."""
        caller = await self._caller(request)
        async with self._kept.receiving(caller, id) as incoming:
            await receive_form(request, incoming, "data")
            part = await self._kept.keep(caller, id, incoming)
        return _json(write_part(part))

    async def complete(self, request: Request, id: str) -> Response:
        """Make a file of the parts, in the order given."""
        caller = await self._caller(request)
        asked = read_completion(await request.body())
        return _json(write_upload(*await self._kept.complete(caller, id, asked.part_ids, asked.md5)))

    async def cancel(self, request: Request, id: str) -> Response:
        """Give an upload up; its parts are gone."""
        return _json(write_upload(await self._kept.cancel(await self._caller(request), id)))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
