"""Handlers of chat completions that are kept."""

import time
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.chats import ChatFilter, KeptChat
from haiga.core.errors import NotFound
from haiga.core.ports import ChatStore
from haiga.web.credentials import authenticate
from haiga.web.services import Services
from haiga.wire.openai_chat.stored import read_update, write_deleted, write_kept, write_kept_list, write_messages

Limit = Annotated[int, Query(ge=1, le=100)]
Order = Literal["asc", "desc"]


class Chats:
    """`clock` gives unix seconds."""

    def __init__(self, services: Services, chats: ChatStore, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._chats = chats
        self._clock = clock

    async def list(
        self,
        request: Request,
        limit: Limit = 20,
        after: str | None = None,
        order: Order = "asc",
        model: str | None = None,
    ) -> Response:
        """List the chat completions that are kept, those with all of `metadata[KEY]=VALUE`."""
        caller = await self._caller(request)
        metadata = {
            name.removeprefix("metadata[").removesuffix("]"): value
            for name, value in request.query_params.items()
            if name.startswith("metadata[") and name.endswith("]")
        }
        wanted = ChatFilter(limit + 1, after, order == "desc", model, metadata)
        found = await self._chats.list(caller.workspace, wanted, int(self._clock()))
        return _json(write_kept_list(found[:limit], len(found) > limit))

    async def get(self, request: Request, id: str) -> Response:
        """A chat completion that is kept."""
        return _json(write_kept(await self._found(await self._caller(request), id)))

    async def update(self, request: Request, id: str) -> Response:
        """Give a kept chat completion other metadata."""
        chat = await self._found(await self._caller(request), id)
        changed = read_update(await request.body(), chat)
        await self._chats.put(changed)
        return _json(write_kept(changed))

    async def delete(self, request: Request, id: str) -> Response:
        """Delete a kept chat completion."""
        caller = await self._caller(request)
        if not await self._chats.delete(caller.workspace, id):
            raise _missing(id)
        return _json(write_deleted(id))

    async def messages(
        self, request: Request, id: str, limit: Limit = 20, after: str | None = None, order: Order = "asc"
    ) -> Response:
        """List the messages that a kept chat completion answers."""
        chat = await self._found(await self._caller(request), id)
        return _json(write_messages(chat, limit, after, order == "desc"))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)

    async def _found(self, caller: Caller, id: str) -> KeptChat:
        found = await self._chats.get(caller.workspace, id, int(self._clock()))
        if found is None:
            raise _missing(id)
        return found


def _missing(id: str) -> NotFound:
    return NotFound(f"Chat completion {id[:100]} not found", field="completion_id")


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
