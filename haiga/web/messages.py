"""Handlers of the Anthropic Messages API."""

from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected, whole_reply
from haiga.wire.anthropic.messages_out import MessageStream, write_count, write_message
from haiga.wire.anthropic.sketch import read_passing, read_passing_count


class Messages:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def create(self, request: Request) -> Response:
        """Create a message, whole or as server-sent events."""
        services, settings = self._services, self._services.settings
        caller = await authenticate(services.access, request)
        version = request.headers.get("anthropic-version")
        asked = read_passing(await request.body(), version, betas(request), services.inference.passes_messages)
        model = services.inference.model(caller, asked.request.model).name
        events = services.inference.generate(caller, asked.request)
        id = settings.new_id("msg")
        if not asked.stream:
            reply = await whole_reply(request, events)
            return Response(write_message(reply, id=id, model=model), media_type="application/json")
        writer = MessageStream(id, model)
        rid = request_id(request.scope)
        return await stream_reply(request, events, writer, id=rid, patience=settings.patience, ping=settings.ping)

    async def count(self, request: Request) -> Response:
        """Count the tokens that a message would be billed as input."""
        caller = await authenticate(self._services.access, request)
        version, inference = request.headers.get("anthropic-version"), self._services.inference
        asked = read_passing_count(await request.body(), version, betas(request), inference.passes_messages)
        count = inference.count
        tokens = await while_connected(request, count(caller, asked))
        if asked.edits is None:
            return Response(write_count(tokens), media_type="application/json")
        original = await while_connected(request, count(caller, replace(asked, edits=None)))
        return Response(write_count(tokens, original), media_type="application/json")


def betas(request: Request) -> Sequence[str]:
    """The features that the request turns on. The header holds a comma list, and may be repeated."""
    return [beta.strip() for line in request.headers.getlist("anthropic-beta") for beta in line.split(",")]
