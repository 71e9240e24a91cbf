"""A secret of the server's own, kept in a file that its owner alone can read; servers over one PostgreSQL have it in
common."""

import asyncio
import os
import secrets
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.errors import Invalid
from haiga.stores.locks import SECRETS as LOCK
from haiga.stores.locks import lock
from haiga.stores.tables import SECRETS

SIZE = 32  # bytes


def kept_secret(path: Path) -> bytes:
    """The secret in the file, made at the first use. Raises Invalid for a file that holds something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(SIZE)
        file.write(secret)
    return secret


async def share_secret(database: AsyncEngine, path: Path) -> None:
    """Of all servers over a PostgreSQL database the first one's secret holds: the others' files take it over."""
    if database.dialect.name == "sqlite":
        return
    own, name = kept_secret(path), path.name
    async with database.begin() as connection:
        await lock(connection, LOCK)
        shared = (await connection.execute(select(SECRETS.c.value).where(SECRETS.c.name == name))).scalar()
        if shared is None:
            await connection.execute(insert(SECRETS).values(name=name, value=own))
    if shared is not None and shared != own:
        await asyncio.to_thread(path.write_bytes, shared)


def _read(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) != SIZE:
        raise Invalid(f"{path}: not a secret of {SIZE} bytes; remove it, and a new one is made")
    return secret
