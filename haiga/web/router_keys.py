"""Handlers of OpenRouter's API keys, for callers who administer the server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import DEFAULT, ApiKey
from haiga.core.errors import NotFound
from haiga.core.limits import DOLLAR, Limits
from haiga.services.keyring import Keyring
from haiga.services.usage import Ledger
from haiga.web.credentials import actor_of, authenticate_admin
from haiga.web.services import Services
from haiga.wire.anthropic.key_bodies import budget_of, read_end
from haiga.wire.openrouter import keys
from haiga.wire.openrouter.generation import periods

PAGE = 100


class RouterKeys:
    """`clock` gives unix seconds."""

    def __init__(
        self, services: Services, keyring: Keyring, ledger: Ledger, clock: Callable[[], float] = time.time
    ) -> None:
        self._services = services
        self._keyring = keyring
        self._ledger = ledger
        self._clock = clock

    async def create(self, request: Request) -> Response:
        """Make an API key; its secret is told here alone."""
        keyring = await self._admit(request)
        asked = keys.read_new_key(await request.body())
        workspace = DEFAULT if asked.workspace_id is None else (await keyring.workspace(asked.workspace_id)).name
        now = self._clock()
        end = read_end(asked.expires_at, now)
        limits = Limits(budget=budget_of(asked.limit))
        lifetime = None if end is None else end - int(now)
        key, secret = await keyring.create_key(asked.name, workspace, lifetime=lifetime, limits=limits)
        return _json(keys.write_new_key(key, secret, await self._spent(key)), 201)

    async def list(
        self, request: Request, offset: Annotated[int, Query(ge=0)] = 0, include_disabled: bool = False
    ) -> Response:
        """List the API keys, newest first."""
        await self._admit(request)
        found = [key for key in reversed(await self._keyring.list()) if key.revoked_at is None]
        page = [key for key in found if include_disabled or not key.paused][offset : offset + PAGE]
        return _json(keys.write_keys([(key, await self._spent(key)) for key in page]))

    async def get(self, request: Request, hash: str) -> Response:
        """One API key."""
        await self._admit(request)
        key = await self._key(hash)
        return _json(keys.write_one_key(key, await self._spent(key)))

    async def change(self, request: Request, hash: str) -> Response:
        """Rename an API key, disable it or let it go on, set or lift its limit."""
        keyring, key = await self._admit(request), await self._key(hash)
        asked = keys.read_key_patch(await request.body(), key.limits.budget is not None)
        limits = key.limits
        if "limit" in asked.model_fields_set:
            limits = replace(limits, budget=budget_of(asked.limit))
        paused = key.paused if asked.disabled is None else asked.disabled
        changed = replace(key, name=asked.name or key.name, paused=paused, limits=limits)
        kept = changed if changed == key else await keyring.change(changed)
        return _json(keys.write_one_key(kept, await self._spent(kept)))

    async def delete(self, request: Request, hash: str) -> Response:
        """Revoke an API key."""
        keyring = await self._admit(request)
        await keyring.revoke((await self._key(hash)).id)
        return _json(keys.write_deleted_key())

    async def _key(self, id: str) -> ApiKey:
        for key in await self._keyring.list():
            if key.id == id and key.revoked_at is None:
                return key
        raise NotFound(f"API key {id[:64]} not found")

    async def _spent(self, key: ApiKey) -> Mapping[str, Decimal]:
        """US dollars in each period."""
        spans = periods(self._clock()).items()
        return {name: Decimal(await self._ledger.spent({"key": key.id}, since)) / DOLLAR for name, since in spans}

    async def _admit(self, request: Request) -> Keyring:
        caller = await authenticate_admin(self._services.access, request)
        return self._keyring.acting(actor_of(caller, request))


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
