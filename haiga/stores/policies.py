"""Moderation policies in the database; implements core.ports.PolicyStore."""

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.audit import Deed
from haiga.core.errors import Busy
from haiga.core.policies import KeptPolicy, Policy
from haiga.stores.audit import append
from haiga.stores.tables import POLICIES
from haiga.wire.moderation_policies import fields_of, read_policy

P = POLICIES.c
TRIES = 3  # when somebody else makes a version at the same moment


class DatabasePolicies:
    """Rows in the table moderation_policies, one for each version."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, policy: Policy, at: int, deed: Deed | None = None) -> KeptPolicy:
        body = json.dumps(fields_of(policy))
        for _ in range(TRIES):
            try:
                async with self._engine.begin() as connection:
                    last = await connection.scalar(select(func.max(P.version)).where(P.name == policy.name))
                    row = {"name": policy.name, "version": (last or 0) + 1, "created_at": at, "body": body}
                    await connection.execute(insert(POLICIES).values(row | {"removed": False}))
                    if deed is not None:
                        versioned = replace(deed, details={**deed.details, "version": row["version"]})
                        await append(connection, versioned)
                    return _kept(row)
            except IntegrityError:
                continue
        raise Busy(f"the policy {policy.name} is being changed by others")

    async def current(self) -> list[KeptPolicy]:
        last = select(P.name, func.max(P.version).label("version")).group_by(P.name).subquery()
        query = (
            select(P.name, P.version, P.created_at, P.body)
            .join(last, (last.c.name == P.name) & (last.c.version == P.version))
            .where(P.removed.is_(False))
            .order_by(P.name)
        )
        async with self._engine.connect() as connection:
            return [_kept(row) for row in (await connection.execute(query)).mappings()]

    async def versions(self, name: str) -> list[KeptPolicy]:
        query = select(POLICIES).where(P.name == name).order_by(P.version.desc())
        async with self._engine.connect() as connection:
            return [_kept(row) for row in (await connection.execute(query)).mappings()]

    async def remove(self, name: str, deed: Deed | None = None) -> bool:
        mine = (P.name == name) & P.removed.is_(False)
        async with self._engine.begin() as connection:
            found = bool((await connection.execute(update(POLICIES).where(mine).values(removed=True))).rowcount)
            if found and deed is not None:
                await append(connection, deed)
            return found


def _kept(row: Any) -> KeptPolicy:
    return KeptPolicy(read_policy(row["name"], json.loads(row["body"]), str(row["version"])), row["created_at"])
