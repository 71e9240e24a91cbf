"""Handlers of the OpenAI Conversations API."""

from typing import Annotated, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.services.responses import Conversations as Kept
from haiga.web.credentials import authenticate
from haiga.web.services import Services
from haiga.wire.openai_responses import write
from haiga.wire.openai_responses.conversations import read_change, read_conversation, read_items


class Conversations:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """Create a conversation."""
        caller, new_id = await self._caller(request), self._services.settings.new_id
        metadata, items = read_conversation(await request.body(), new_id)
        return _json(write.write_conversation(await self._kept.create(caller, new_id("conv"), metadata, items)))

    async def get(self, request: Request, id: str) -> Response:
        """A conversation, without its items."""
        return _json(write.write_conversation(await self._kept.get(await self._caller(request), id)))

    async def update(self, request: Request, id: str) -> Response:
        """Change a conversation's metadata."""
        caller = await self._caller(request)
        changed = await self._kept.update(caller, id, read_change(await request.body()))
        return _json(write.write_conversation(changed))

    async def delete(self, request: Request, id: str) -> Response:
        """Delete a conversation and its items."""
        await self._kept.delete(await self._caller(request), id)
        return _json(write.write_deleted(id, "conversation.deleted"))

    async def items(
        self,
        request: Request,
        id: str,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        """A conversation's items, page by page."""
        items = await self._kept.items(await self._caller(request), id)
        return _json(write.write_items(*write.page(items, after=after, limit=limit, order=order)))

    async def add(self, request: Request, id: str) -> Response:
        """Add items at the end of a conversation."""
        caller = await self._caller(request)
        items = read_items(await request.body(), self._services.settings.new_id)
        await self._kept.add(caller, id, items)
        return _json(write.write_items(items))

    async def item(self, request: Request, id: str, item: str) -> Response:
        """One item of a conversation."""
        return _json(write.write_body(await self._kept.item(await self._caller(request), id, item)))

    async def remove(self, request: Request, id: str, item: str) -> Response:
        """Take an item out of a conversation."""
        return _json(write.write_conversation(await self._kept.remove(await self._caller(request), id, item)))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
