"""The audit log in the database; implements core.ports.AuditStore.

Rule: a line is written in the transaction of the deed itself, so that there is none without the other; one at a time,
whoever writes. Nothing changes a line, and only the oldest ones can go.
"""

import json
from collections.abc import AsyncGenerator, Sequence

from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.audit import Actor, AuditFilter, AuditLine, Chain, Deed
from haiga.stores.locks import AUDIT, lock
from haiga.stores.tables import AUDIT_CHAIN, AUDIT_LOG

ONLY = 1  # the id of the chain's one row
AT_ONCE = 1000  # lines that are read together


async def append(connection: AsyncConnection, *deeds: Deed) -> None:
    """Write deeds down in the caller's transaction."""
    await lock(connection, AUDIT)
    chain = await _chain(connection)
    for deed in deeds:
        line = chain.line(deed)
        await connection.execute(insert(AUDIT_LOG).values(_row(line)))
        chain = Chain(chain.before, chain.gone, line.number, line.digest)
    await _keep(connection, chain)


class DatabaseAudit:
    """Rows in the tables audit_log and audit_chain."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, deeds: Sequence[Deed]) -> None:
        async with self._engine.begin() as connection:
            await append(connection, *deeds)

    async def page(self, wanted: AuditFilter) -> list[AuditLine]:
        async with self._engine.connect() as connection:
            return [_line(row) for row in (await connection.execute(_wanted(wanted))).mappings()]

    async def chain(self) -> Chain:
        async with self._engine.connect() as connection:
            return await _chain(connection)

    async def lines(self, last: int | None = None) -> AsyncGenerator[AuditLine, None]:
        number = -1
        while True:
            query = select(AUDIT_LOG).where(AUDIT_LOG.c.number > number).order_by(AUDIT_LOG.c.number).limit(AT_ONCE)
            if last is not None:
                query = query.where(AUDIT_LOG.c.number <= last)
            async with self._engine.connect() as connection:
                some = [_line(row) for row in (await connection.execute(query)).mappings()]
            for line in some:
                yield line
            if len(some) < AT_ONCE:
                return
            number = some[-1].number

    async def forget(self, before: int) -> int:
        number = AUDIT_LOG.c.number
        async with self._engine.begin() as connection:
            await lock(connection, AUDIT)
            chain = await _chain(connection)
            # a clock that was set back must not leave a hole: what is not older, and all behind it, stays
            young = select(func.min(number)).where(AUDIT_LOG.c.at >= before)
            first = (await connection.execute(young)).scalar() or chain.last + 1
            query = select(AUDIT_LOG.c.digest).where(number == first - 1)
            digest = (await connection.execute(query)).scalar()
            if digest is None:
                return 0
            await connection.execute(delete(AUDIT_LOG).where(number < first))
            await _keep(connection, Chain(digest, first - 1, chain.last, chain.digest))
            return first - 1 - chain.gone


async def _chain(connection: AsyncConnection) -> Chain:
    row = (await connection.execute(select(AUDIT_CHAIN))).mappings().first()
    return Chain() if row is None else Chain(row["before"], row["gone"], row["last"], row["digest"])


async def _keep(connection: AsyncConnection, chain: Chain) -> None:
    row = {"before": chain.before, "gone": chain.gone, "last": chain.last, "digest": chain.digest}
    kept = await connection.execute(update(AUDIT_CHAIN).where(AUDIT_CHAIN.c.id == ONLY).values(row))
    if not kept.rowcount:
        await connection.execute(insert(AUDIT_CHAIN).values(id=ONLY, **row))


def _wanted(wanted: AuditFilter) -> "Select[tuple[object, ...]]":
    columns = AUDIT_LOG.c
    query = select(AUDIT_LOG).limit(wanted.limit)
    since = None if wanted.since is None else wanted.since - 1
    for column, value in ((columns.number, wanted.after), (columns.at, since)):
        query = query if value is None else query.where(column > value)
    for column, value in ((columns.number, wanted.before), (columns.at, wanted.until)):
        query = query if value is None else query.where(column < value)
    among = ((columns.action, wanted.actions), (columns.actor, wanted.actors), (columns.subject, wanted.subjects))
    for column, values in among:
        query = query.where(column.in_(values)) if values else query
    return query.order_by(columns.number if wanted.forward else columns.number.desc())


def _row(line: AuditLine) -> dict[str, object]:
    deed, actor = line.deed, line.deed.actor
    return {
        "number": line.number,
        "at": deed.at,
        "action": deed.action,
        "subject": deed.subject,
        "kind": actor.kind,
        "actor": actor.id,
        "address": actor.address,
        "request": actor.request,
        "details": line.details,
        "digest": line.digest,
    }


def _line(row: RowMapping) -> AuditLine:
    actor = Actor(row["kind"], row["actor"], row["address"], row["request"])
    deed = Deed(row["action"], row["subject"], actor, row["at"], _details(row["details"]))
    return AuditLine(row["number"], deed, row["details"], row["digest"])


def _details(text: str) -> dict[str, object]:
    """What was tampered with may be no JSON any more: its line is shown all the same."""
    try:
        read = json.loads(text)
    except ValueError:
        return {"unreadable": text}
    return read if isinstance(read, dict) else {"unreadable": text}
