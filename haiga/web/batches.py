"""Handlers of the Message Batches API."""

from collections.abc import AsyncIterator
from typing import Annotated, cast, get_args

from fastapi import Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from haiga.core.access import Caller
from haiga.core.errors import Cancelled, Invalid
from haiga.core.jobs import Dedupe, Result, Rules
from haiga.services.batches import Batches as Kept
from haiga.web.credentials import authenticate
from haiga.web.messages import betas
from haiga.web.polling import polled
from haiga.web.services import Services, WebSettings
from haiga.wire.anthropic.batches import (
    ENDPOINT,
    BatchReader,
    write_batch,
    write_deleted,
    write_page,
    write_result,
)
from haiga.wire.anthropic.rules import check_version

DEDUPE = "haiga-dedupe"
PIECE = 1 << 16  # bytes of results sent at a time


class Batches:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """Create a batch of messages, which are answered in the background."""
        caller = await self._caller(request)
        version = check_version(request.headers.get("anthropic-version"))
        shared, policy = dedupe(request, self._services.settings), await named_policy(self._services, caller)
        rules = Rules(version, tuple(betas(request)), shared, policy)
        try:
            batch = await self._kept.create(caller, "msgbatch", ENDPOINT, rules, request.stream(), BatchReader())
        except ClientDisconnect:
            raise Cancelled("the client went away") from None
        return _json(write_batch(batch, str(request.base_url)))

    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        after_id: str | None = None,
        before_id: str | None = None,
    ) -> Response:
        """List the workspace's batches, newest first."""
        page = await self._kept.list(await self._caller(request), limit, after_id, before_id)
        return _json(write_page(page, str(request.base_url)))

    async def get(self, request: Request, id: str) -> Response:
        """A batch as it stands. Asking again with `if-none-match` costs little."""
        batch = await self._kept.get(await self._caller(request), id)
        return polled(request, write_batch(batch, str(request.base_url)), batch.live)

    async def cancel(self, request: Request, id: str) -> Response:
        """Give up what has no result yet."""
        batch = await self._kept.cancel(await self._caller(request), id)
        return _json(write_batch(batch, str(request.base_url)))

    async def results(self, request: Request, id: str) -> Response:
        """The results of a batch that has ended, one JSON object a line."""
        results = await self._kept.results(await self._caller(request), id)
        return StreamingResponse(_pieces(results), media_type="application/x-jsonl")

    async def delete(self, request: Request, id: str) -> Response:
        """Delete a batch that has ended, and its results."""
        await self._kept.delete(await self._caller(request), id)
        return _json(write_deleted(id))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


def dedupe(request: Request, settings: WebSettings) -> Dedupe:
    """Which lines may share one answer, by the header or else the server's setting. Raises Invalid."""
    wanted = request.headers.get(DEDUPE, settings.dedupe)
    if wanted not in get_args(Dedupe):
        raise Invalid(f"Input should be {', '.join(map(repr, get_args(Dedupe)))}", field=DEDUPE)
    return cast(Dedupe, wanted)


async def named_policy(services: Services, caller: Caller) -> str | None:
    """The moderation policy that the request names for its lines, besides the key's. Raises Invalid for one that does
    not exist, and Denied where it is the key's."""
    if services.policies is not None:
        await services.policies.of(caller)
    return caller.origin.moderated.named


async def _pieces(results: AsyncIterator[Result]) -> AsyncIterator[bytes]:
    piece = bytearray()
    async for result in results:
        piece += write_result(result)
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
