"""Handlers of the OpenAI Batch API."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.jobs import Rules
from haiga.services.batches import Batches as Kept
from haiga.services.files import Files
from haiga.web.batches import dedupe, named_policy
from haiga.web.credentials import authenticate
from haiga.web.polling import polled
from haiga.web.services import Services
from haiga.wire.openai_batches.batches import PREFIX, check_input, read_batch, write_batch, write_page


class OpenAIBatches:
    def __init__(self, services: Services, kept: Kept, files: Files) -> None:
        self._services = services
        self._kept = kept
        self._files = files

    async def create(self, request: Request) -> Response:
        """Create a batch of the requests in a file, which are answered in the background."""
        caller = await self._caller(request)
        asked = read_batch(await request.body())
        check_input(await self._files.get(caller, asked.papers.input))
        policy = await named_policy(self._services, caller)
        rules = Rules(dedupe=dedupe(request, self._services.settings), policy=policy)
        batch = await self._kept.create_filed(caller, PREFIX, asked.endpoint, rules, asked.papers)
        return _json(write_batch(batch))

    async def list(
        self, request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
    ) -> Response:
        """List the workspace's batches of files, newest first."""
        return _json(write_page(await self._kept.list(await self._caller(request), limit, after, filed=True)))

    async def get(self, request: Request, id: str) -> Response:
        """A batch as it stands. Asking again with `if-none-match` costs little."""
        batch = await self._kept.get(await self._caller(request), id, filed=True)
        return polled(request, write_batch(batch), not batch.over)

    async def cancel(self, request: Request, id: str) -> Response:
        """Give up what has no result yet."""
        return _json(write_batch(await self._kept.cancel(await self._caller(request), id, filed=True)))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
