"""All that is kept of a workspace, deleted.

Rule: a table that has a workspace in its rows is emptied of them, whichever table it is. Of a key its id stays,
revoked: were the last key gone, the door would be open. The audit log stays as it is.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import ColumnElement, Select, Table, delete, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.access import Workspace
from haiga.core.audit import Deed
from haiga.stores.audit import append
from haiga.stores.keys import LIMITS
from haiga.stores.locks import ERASURE, lock
from haiga.stores.tables import API_KEYS, BATCHES, CONVERSATIONS, ITEMS, LINES, METADATA, METERS, RESPONSES, WORKSPACES

# SQLite overwrites what it deletes; what is left of it is in its log. PostgreSQL keeps dead rows until they are swept.
PURGES = {"sqlite": "PRAGMA wal_checkpoint(TRUNCATE)", "postgresql": "VACUUM"}


async def erase(
    engine: AsyncEngine, workspace: Workspace, now: int, deed: Callable[[Mapping[str, int]], Deed] | None = None
) -> Mapping[str, int]:
    """Delete it in one transaction; how many rows of which table there were, which `deed` says in the audit log."""
    async with engine.begin() as connection:
        await lock(connection, ERASURE)
        gone = await _erase(connection, workspace, now)
        if deed is not None:
            await append(connection, deed(gone))
    async with engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text(PURGES[engine.dialect.name]))
    return gone


async def _erase(connection: AsyncConnection, workspace: Workspace, now: int) -> dict[str, int]:
    name = workspace.name
    keys = (await connection.execute(select(API_KEYS.c.id).where(API_KEYS.c.workspace == name))).scalars().all()
    owners = _ids(RESPONSES, name).union(_ids(CONVERSATIONS, name))
    found = {
        "items": await _delete(connection, ITEMS, ITEMS.c.owner.in_(owners)),
        "batch_lines": await _delete(connection, LINES, LINES.c.batch.in_(_ids(BATCHES, name))),
    }
    for table in METADATA.sorted_tables:
        if "workspace" in table.c and table is not API_KEYS:
            found[str(table.name)] = await _delete(connection, table, table.c.workspace == name)
    own = [METERS.c.name.startswith(f"{id}:", autoescape=True) for id in (*keys, workspace.id)]
    found["meters"] = await _delete(connection, METERS, or_(*own))
    found["workspaces"] = await _delete(connection, WORKSPACES, WORKSPACES.c.name == name)
    for id in keys:
        await connection.execute(update(API_KEYS).where(API_KEYS.c.id == id).values(_nobody(id, now)))
    return found | {"api_keys": len(keys)}


async def _delete(connection: AsyncConnection, table: Table, where: ColumnElement[bool]) -> int:
    return (await connection.execute(delete(table).where(where))).rowcount


def _ids(table: Table, workspace: str) -> Select[tuple[str]]:
    return select(table.c.id).where(table.c.workspace == workspace)


def _nobody(id: str, now: int) -> dict[str, str | int | None]:
    gone: dict[str, str | int | None] = dict.fromkeys(("former_hash", "former_until", *LIMITS))
    named = dict.fromkeys(("name", "workspace"), "deleted") | dict.fromkeys(("hint", "families", "models", "tags"), "")
    return gone | named | {"hash": id, "revoked_at": now}
