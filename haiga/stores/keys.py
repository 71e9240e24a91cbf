"""API keys and workspaces in the database; implements core.ports.KeyStore."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.access import ApiKey, Scope, Workspace
from haiga.core.audit import Deed
from haiga.core.limits import Limits
from haiga.stores.audit import append
from haiga.stores.tables import API_KEYS, WORKSPACES

LIMITS = tuple(field.name for field in fields(Limits))
SCOPE = tuple(field.name for field in fields(Scope))


class DatabaseKeys:
    """Rows in the tables api_keys and workspaces."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, key: ApiKey, deed: Deed | None = None) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(insert(API_KEYS).values(_key_row(key)))
            await _note(connection, deed)

    async def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
        async with self._engine.connect() as connection:
            return [_key(row) for row in (await connection.execute(query)).mappings()]

    async def change(self, key: ApiKey, deed: Deed | None = None) -> bool:
        """Keep a key as it is now; False when there is none of its id that is not revoked."""
        return await self._update(key.id, _key_row(key), deed)

    async def revoke(self, key_id: str, at: int, deed: Deed | None = None) -> bool:
        """Mark a key revoked; False when there is no such key that is not revoked yet."""
        return await self._update(key_id, {"revoked_at": at}, deed)

    async def _update(self, id: str, row: Mapping[str, Any], deed: Deed | None) -> bool:
        change = update(API_KEYS).where(API_KEYS.c.id == id, API_KEYS.c.revoked_at.is_(None)).values(row)
        async with self._engine.begin() as connection:
            changed = (await connection.execute(change)).rowcount == 1
            if changed:
                await _note(connection, deed)
            return changed

    async def workspaces(self) -> list[Workspace]:
        """Every workspace, oldest first."""
        query = select(WORKSPACES).order_by(WORKSPACES.c.created_at, WORKSPACES.c.name)
        async with self._engine.connect() as connection:
            return [_workspace(row) for row in (await connection.execute(query)).mappings()]

    async def put_workspace(self, workspace: Workspace, deed: Deed | None = None) -> None:
        """Keep a workspace; one of the same name is replaced, in one transaction."""
        row = {name: value for name, value in asdict(workspace).items() if name != "limits"} | asdict(workspace.limits)
        async with self._engine.begin() as connection:
            await connection.execute(delete(WORKSPACES).where(WORKSPACES.c.name == workspace.name))
            await connection.execute(insert(WORKSPACES).values(row))
            await _note(connection, deed)


async def _note(connection: AsyncConnection, deed: Deed | None) -> None:
    if deed is not None:
        await append(connection, deed)


def _key_row(key: ApiKey) -> dict[str, Any]:
    row = {name: value for name, value in asdict(key).items() if name not in ("scope", "limits")}
    scope = {name: ",".join(getattr(key.scope, name)) for name in SCOPE}
    return row | scope | asdict(key.limits)


def _key(row: RowMapping) -> ApiKey:
    kept, limits = _without_limits(row)
    scope: dict[str, Any] = {name: tuple(filter(None, kept.pop(name).split(","))) for name in SCOPE}
    return ApiKey(**kept, scope=Scope(**scope), limits=limits)


def _workspace(row: RowMapping) -> Workspace:
    kept, limits = _without_limits(row)
    return Workspace(**kept, limits=limits)


def _without_limits(row: Mapping[Any, Any]) -> tuple[dict[str, Any], Limits]:
    kept = dict(row)
    return kept, Limits(**{name: kept.pop(name) for name in LIMITS})
