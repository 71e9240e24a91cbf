"""What happens to batches with files besides their lines, as statements: their paperwork is one clerk's at a time."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Delete, Select, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate, Update

from haiga.core import jobs
from haiga.core.files import KeptFile
from haiga.core.jobs import Batch
from haiga.core.webhooks import batch_event
from haiga.stores.batches.rows import papers_text
from haiga.stores.tables import BATCHES, FILES, LINES
from haiga.stores.webhooks import tell

B = BATCHES.c
WAITING = B.status.in_(("validating", "finalizing"))


def waiting() -> Select[tuple[str]]:
    """Whether there is anything to take at all: looking costs no lock."""
    return select(B.id).where(WAITING).limit(1)


def take(clerk: str, now: int, until: int) -> ReturningUpdate[Any]:
    """One statement: whoever else takes at the same time gets another."""
    free = or_(B.clerk_until.is_(None), B.clerk_until <= now)
    picked = select(B.id).where(WAITING, free).order_by(B.id).limit(1).with_for_update(skip_locked=True).cte("picked")
    taken = update(BATCHES).where(B.id.in_(select(picked.c.id)))
    return taken.values(clerk=clerk, clerk_until=until).returning(BATCHES)


def held(clerk: str, id: str) -> Update:
    """A change of a batch, if it is the clerk's."""
    return update(BATCHES).where(B.id == id, B.clerk == clerk, WAITING)


def clear(clerk: str, id: str) -> Delete:
    """The lines of a batch that the clerk reads, or that was canceled before they were counted. Those of another
    clerk's, who came later and was faster, stay."""
    read_by_it = (B.clerk == clerk) & (B.status == "validating")
    canceled = (B.status == "ended") & (B.total == 0)
    return delete(LINES).where(LINES.c.batch.in_(select(B.id).where(B.id == id, or_(read_by_it, canceled))))


async def conclude(connection: AsyncConnection, clerk: str, batch: Batch, files: Sequence[KeptFile]) -> bool:
    values = {"status": batch.status, "total": batch.total, "ended_at": batch.ended_at, "papers": papers_text(batch)}
    done = held(clerk, batch.id).values(values | {"clerk": None, "clerk_until": None})
    if (await connection.execute(done)).rowcount != 1:
        return False
    if files:
        await connection.execute(insert(FILES), [asdict(file) for file in files])
    if batch.over:
        await tell(connection, batch_event(batch))
    return True


async def cancel(connection: AsyncConnection, batch: Batch, now: int) -> None:
    """See core.jobs.cancel. Of a batch that is still being read nothing is kept."""
    wanted = jobs.cancel(batch, now)
    told = ("status", "cancel_initiated_at", "ended_at")
    change = update(BATCHES).where(B.id == batch.id, B.status == batch.status)
    if not (await connection.execute(change.values({name: getattr(wanted, name) for name in told}))).rowcount:
        return
    if wanted.over:
        await connection.execute(delete(LINES).where(LINES.c.batch == batch.id))
        await tell(connection, batch_event(wanted))
