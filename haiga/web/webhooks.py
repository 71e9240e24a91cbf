"""Handlers of webhook endpoints and their log."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.services.webhooks import Webhooks as Kept
from haiga.web.credentials import authenticate
from haiga.web.services import Services
from haiga.web.streaming import while_connected
from haiga.wire.webhooks import messages as wire

Limit = Annotated[int, Query(ge=1, le=100)]


class Webhooks:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """Have events sent to a URL. The signing secret is in this answer, and in no other."""
        caller, body = await self._caller(request), wire.read_webhook(await request.body())
        endpoint, secret = await self._kept.create(caller, body.name, body.url, body.event_types)
        return _json(wire.write_webhook(endpoint, secret))

    async def list(self, request: Request, limit: Limit = 20, after: str | None = None) -> Response:
        """List the workspace's endpoints, newest first."""
        found = await self._kept.list(await self._caller(request), limit + 1, after)
        return _json(wire.write_webhooks(found[:limit], len(found) > limit))

    async def get(self, request: Request, id: str) -> Response:
        """An endpoint as it stands."""
        return _json(wire.write_webhook(await self._kept.get(await self._caller(request), id)))

    async def update(self, request: Request, id: str) -> Response:
        """Change an endpoint, or switch it on or off."""
        caller, body = await self._caller(request), wire.read_change(await request.body())
        enabled = None if body.state is None else body.state == "enabled"
        changed = await self._kept.update(
            caller, id, name=body.name, url=body.url, types=body.event_types, enabled=enabled
        )
        return _json(wire.write_webhook(changed))

    async def delete(self, request: Request, id: str) -> Response:
        """Delete an endpoint and its log."""
        await self._kept.delete(await self._caller(request), id)
        return _json(wire.write_deleted(id))

    async def rotate(self, request: Request, id: str) -> Response:
        """Give an endpoint a new signing secret, which is in this answer and in no other."""
        caller, body = await self._caller(request), wire.read_rotation(await request.body())
        endpoint, secret = await self._kept.rotate(caller, id, body.keep_old_secret_active_for_24_hours)
        return _json(wire.write_webhook(endpoint, secret))

    async def test(self, request: Request, id: str) -> Response:
        """Send a made-up event to an endpoint, and tell the status that it answers."""
        caller, body = await self._caller(request), wire.read_test(await request.body())
        status = await while_connected(request, self._kept.test(caller, id, body.event_type))
        return _json(wire.write_tested(id, body.event_type, status))

    async def types(self, request: Request) -> Response:
        """List the types of events that there are."""
        await self._caller(request)
        return _json(wire.write_types())

    async def deliveries(self, request: Request, id: str, limit: Limit = 20, after: str | None = None) -> Response:
        """List what was sent to an endpoint or waits to be, the newest event first."""
        found = await self._kept.log(await self._caller(request), id, limit + 1, after)
        return _json(wire.write_deliveries(found[:limit], len(found) > limit))

    async def delivery(self, request: Request, id: str, event: str) -> Response:
        """What became of one event."""
        return _json(wire.write_delivery(await self._kept.delivery(await self._caller(request), id, event)))

    async def redeliver(self, request: Request, id: str, event: str) -> Response:
        """Send an event again, whatever came of it."""
        return _json(wire.write_delivery(await self._kept.redeliver(await self._caller(request), id, event)))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
