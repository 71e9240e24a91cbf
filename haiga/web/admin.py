"""Handlers of Anthropic's Admin API: keys, workspaces, and what was used. For callers who administer the server."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import DEFAULT, ApiKey, Workspace
from haiga.core.errors import Invalid, NotFound, Unsupported
from haiga.services.keyring import Keyring
from haiga.services.usage import Ledger
from haiga.web.credentials import actor_of, authenticate_admin
from haiga.web.services import Services
from haiga.wire.anthropic import admin, key_bodies, rate_limits, reports

Limit = Annotated[int, Query(ge=1, le=1000)]


class Admin:
    """`clock` gives unix seconds."""

    def __init__(
        self, services: Services, keyring: Keyring, ledger: Ledger, clock: Callable[[], float] = time.time
    ) -> None:
        self._services = services
        self._keyring = keyring
        self._ledger = ledger
        self._clock = clock

    async def me(self, request: Request) -> Response:
        """The organization, of which there is one."""
        await self._admit(request)
        return _json(admin.write(admin.ORGANIZATION))

    # --- keys ---

    async def list_keys(
        self,
        request: Request,
        limit: Limit = 20,
        after_id: str | None = None,
        before_id: str | None = None,
        status: Literal["active", "inactive", "archived", "expired"] | None = None,
        workspace_id: str | None = None,
    ) -> Response:
        """List the API keys, newest first."""
        await self._admit(request)
        now, workspaces = self._clock(), await self._keyring.workspaces()
        wanted = [
            key
            for key in reversed(await self._keyring.list())
            if status in (None, admin.status(key, now)) and workspace_id in (None, *_named(key.workspace, workspaces))
        ]
        return _json(
            admin.write_list(wanted, lambda key: admin.key_body(key, workspaces, now), limit, after_id, before_id)
        )

    async def create_key(self, request: Request) -> Response:
        """Make an API key; its secret is told here alone, as `key`."""
        keyring = await self._admit(request)
        asked = key_bodies.read_key(await request.body())
        workspace = DEFAULT if asked.workspace_id is None else (await keyring.workspace(asked.workspace_id)).name
        key, secret = await keyring.create_key(asked.name, workspace, **key_bodies.new_key(asked, self._clock()))
        return await self._shown(key, secret)

    async def rotate_key(self, request: Request, id: str) -> Response:
        """Give an API key a new secret, told here alone, as `key`; the old one goes on for `grace_seconds`."""
        keyring = await self._admit(request)
        grace = key_bodies.read_rotation(await request.body())
        return await self._shown(*await keyring.rotate((await self._key(id)).id, grace))

    async def get_key(self, request: Request, id: str) -> Response:
        """One API key."""
        await self._admit(request)
        return await self._shown(await self._key(id))

    async def change_key(self, request: Request, id: str) -> Response:
        """Change what an API key may do, rename it, pause it (`inactive`), let it go on, revoke it (`archived`)."""
        keyring = await self._admit(request)
        change = key_bodies.read_key_change(await request.body())
        key = await self._key(id)
        if key.revoked_at is not None:
            raise Invalid("an archived API key cannot be changed", field="status")
        changed = replace(
            key_bodies.changed_key(change, key, self._clock()),
            name=(key.name if change.name is None else change.name).strip() or key.name,
            paused=key.paused if change.status is None else change.status == "inactive",
        )
        kept = key if changed == key else await keyring.change(changed)
        return await self._shown(await keyring.revoke(id) if change.status == "archived" else kept)

    async def _key(self, id: str) -> ApiKey:
        for key in await self._keyring.list():
            if key.id == id:
                return key
        raise NotFound(f"api_key: {id[:64]}")

    async def _shown(self, key: ApiKey, secret: str | None = None) -> Response:
        body = admin.key_body(key, await self._keyring.workspaces(), self._clock())
        return _json(admin.write(body if secret is None else body | {"key": secret}))

    # --- workspaces ---

    async def list_workspaces(
        self,
        request: Request,
        limit: Limit = 20,
        after_id: str | None = None,
        before_id: str | None = None,
        include_archived: bool = False,
        include_default: bool = False,
    ) -> Response:
        """List the workspaces, newest first."""
        await self._admit(request)
        wanted = [
            each
            for each in reversed(await self._keyring.workspaces())
            if (include_archived or each.archived_at is None) and (include_default or each.name != DEFAULT)
        ]
        return _json(admin.write_list(wanted, admin.workspace_body, limit, after_id, before_id))

    async def create_workspace(self, request: Request) -> Response:
        """Create a workspace."""
        keyring = await self._admit(request)
        asked = admin.read_workspace(await request.body())
        return _json(admin.write(admin.workspace_body(await keyring.create_workspace(asked.name))))

    async def get_workspace(self, request: Request, id: str) -> Response:
        """One workspace."""
        await self._admit(request)
        return _json(admin.write(admin.workspace_body(await self._workspace(id))))

    async def change_workspace(self, request: Request, id: str) -> Response:
        """A workspace as it is: its data is filed under its name, which stays."""
        await self._admit(request)
        workspace, asked = await self._workspace(id), admin.read_workspace(await request.body())
        if asked.name.strip() != workspace.name:
            raise Unsupported("a workspace of this server keeps its name", field="name")
        return _json(admin.write(admin.workspace_body(workspace)))

    async def archive_workspace(self, request: Request, id: str) -> Response:
        """Archive a workspace: none of its keys works any more."""
        keyring = await self._admit(request)
        await self._workspace(id)
        return _json(admin.write(admin.workspace_body(await keyring.archive(id))))

    async def delete_workspace(self, request: Request, id: str) -> Response:
        """Delete a workspace and all that is kept of it: its keys, answers, conversations, batches, files and usage."""
        caller = await authenticate_admin(self._services.access, request)
        await self._workspace(id)
        assert self._services.erasure is not None
        _, gone = await self._services.erasure.delete(id, actor_of(caller, request))
        return _json(admin.write(admin.deleted_body(id, gone)))

    async def _workspace(self, id: str) -> Workspace:
        for each in await self._keyring.workspaces():
            if each.id == id:
                return each
        raise NotFound(f"workspace: {id[:64]}")

    # --- limits ---

    async def rate_limits(self, request: Request) -> Response:
        """The groups that workspaces have limits for: one, of all models."""
        return _json(rate_limits.write_organization_limits(await self._models(request)))

    async def workspace_limits(self, request: Request, id: str) -> Response:
        """A workspace's limits."""
        models = await self._models(request)
        return _json(rate_limits.write_workspace_limits(await self._workspace(id), models))

    async def limit_workspace(self, request: Request, id: str, limit: str) -> Response:
        """Set or lift a workspace's limits; what is not named stays."""
        keyring, models = await self._admit(request), await self._models(request)
        workspace = await self._workspace(id)
        if limit != rate_limits.ID:
            raise NotFound(f"rate_limit: {limit[:64]}")
        limits = rate_limits.read_rate_limits(await request.body(), workspace.limits)
        changed = await keyring.change_workspace(replace(workspace, limits=limits))
        return _json(rate_limits.write_workspace_limit(changed, models))

    async def _models(self, request: Request) -> list[str]:
        caller = await authenticate_admin(self._services.access, request)
        return [card.name for card in self._services.inference.models(caller)]

    # --- reports ---

    async def usage_report(self, request: Request) -> Response:
        """Tokens by time, key, workspace, model and tier."""
        await self._admit(request)
        workspaces = await self._keyring.workspaces()
        report = reports.read_usage_report(request.query_params.multi_items(), workspaces, self._clock())
        return _json(reports.write_usage_report(report, await self._ledger.totals(report.question), workspaces))

    async def cost_report(self, request: Request) -> Response:
        """US cents by day, workspace and what for."""
        await self._admit(request)
        workspaces = await self._keyring.workspaces()
        report = reports.read_cost_report(request.query_params.multi_items(), self._clock())
        return _json(reports.write_cost_report(report, await self._ledger.totals(report.question), workspaces))

    async def _admit(self, request: Request) -> Keyring:
        """The keyring in the hands of the caller, if it may administer the server."""
        caller = await authenticate_admin(self._services.access, request)
        return self._keyring.acting(actor_of(caller, request))


def _named(workspace: str, workspaces: Sequence[Workspace]) -> tuple[str, ...]:
    return tuple(each.id for each in workspaces if each.name == workspace)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
