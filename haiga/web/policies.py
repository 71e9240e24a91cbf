"""Handlers of moderation policies. Rule: they are the operator's, so that an administrator's key alone may see and make
them."""

from starlette.requests import Request
from starlette.responses import Response

from haiga.services.moderation import Policies as Kept
from haiga.web.credentials import actor_of, authenticate_admin
from haiga.web.services import Services
from haiga.wire import moderation_policies as wire


class Policies:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """Make a policy, or the next version of one; requests from now on are held to it."""
        caller = await authenticate_admin(self._services.access, request)
        policy = wire.read_body(await request.body())
        return _json(wire.write_policy(await self._kept.put(policy, actor_of(caller, request))))

    async def list(self, request: Request) -> Response:
        """Every policy as it is now: those made here, those of the server's file, those built in."""
        await authenticate_admin(self._services.access, request)
        return _json(wire.write_policies(await self._kept.all()))

    async def get(self, request: Request, name: str, version: str | None = None) -> Response:
        """A policy as it is now, or any version of it."""
        await authenticate_admin(self._services.access, request)
        return _json(wire.write_policy(await self._kept.get(name, version)))

    async def versions(self, request: Request, name: str) -> Response:
        """Every version of a policy, newest first."""
        await authenticate_admin(self._services.access, request)
        return _json(wire.write_policies(await self._kept.versions(name)))

    async def delete(self, request: Request, name: str) -> Response:
        """Have no policy of this name any more. Keys that are held to it are refused until they are held to another."""
        caller = await authenticate_admin(self._services.access, request)
        await self._kept.remove(name, actor_of(caller, request))
        return _json(wire.write_deleted(name))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
