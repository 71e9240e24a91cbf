"""Upstreams in the database; implements core.ports.UpstreamStore.

Rule: a row holds the whole value as JSON: nothing asks for a part of it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.audit import Deed
from haiga.core.ports import Capabilities
from haiga.core.records import Price
from haiga.core.upstreams import KnownModel, Upstream
from haiga.stores.audit import append
from haiga.stores.tables import UPSTREAMS


class DatabaseUpstreams:
    """Rows in the table upstreams."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, upstream: Upstream, deed: Deed | None = None) -> None:
        body = json.dumps(asdict(upstream), default=str)
        async with self._engine.begin() as connection:
            await connection.execute(delete(UPSTREAMS).where(UPSTREAMS.c.name == upstream.name))
            row = {"name": upstream.name, "added_at": upstream.added_at, "body": body}
            await connection.execute(insert(UPSTREAMS).values(row))
            if deed is not None:
                await append(connection, deed)

    async def all(self) -> list[Upstream]:
        query = select(UPSTREAMS.c.body).order_by(UPSTREAMS.c.added_at, UPSTREAMS.c.name)
        async with self._engine.connect() as connection:
            return [_upstream(json.loads(body)) for body in (await connection.execute(query)).scalars()]

    async def remove(self, name: str, deed: Deed | None = None) -> bool:
        async with self._engine.begin() as connection:
            removed = (await connection.execute(delete(UPSTREAMS).where(UPSTREAMS.c.name == name))).rowcount == 1
            if removed and deed is not None:
                await append(connection, deed)
            return removed


def _upstream(said: Mapping[str, Any]) -> Upstream:
    pairs = tuple((here, there) for here, there in said["models"])
    return Upstream(**{**said, "models": pairs, "known": tuple(map(_known, said["known"]))})


def _known(said: Mapping[str, Any]) -> KnownModel:
    able, price = Capabilities(**said["capabilities"]), said["price"]
    return KnownModel(**{**said, "capabilities": able, "price": price and _price(price)})


def _price(said: Mapping[str, Any]) -> Price:
    prices: dict[str, Any] = {name: value if value is None else Decimal(value) for name, value in said.items()}
    return Price(**prices)
