"""Status changes as statements.

Rule: every change says from which states it starts (core.jobs.before), so that of two who change a line one comes too
late and changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate, Update

from haiga.core.jobs import (
    KEPT,
    RECEIVED,
    SUSPECT,
    UNFINISHED,
    Line,
    LineState,
    Outcome,
    Prepared,
    before,
    settle,
)
from haiga.stores.batches.rows import read_batch
from haiga.stores.tables import BATCHES, LINES

C = LINES.c
FREE: dict[str, Any] = {"worker": None, "lease": None}


def to(state: LineState, *which: ColumnElement[bool], **values: Any) -> Update:
    """Lines come to `state`, from wherever they may."""
    return update(LINES).where(C.state.in_(before(state)), *which).values(state=state, **values)


def _is(line: Line) -> ColumnElement[bool]:
    return (C.batch == line.batch) & (C.position == line.position)


async def count(connection: AsyncConnection, batch: str, state: str, lines: int, tokens: int = 0) -> None:
    """Lines of a batch came to a final state."""
    column, told = BATCHES.c[state], BATCHES.c.output_tokens
    values = {column: column + lines, told: told + tokens}
    await connection.execute(update(BATCHES).where(BATCHES.c.id == batch).values(values))


async def end(connection: AsyncConnection, ids: Collection[str], now: int) -> None:
    """End those of the batches that have every result."""
    for row in (await connection.execute(select(BATCHES).where(BATCHES.c.id.in_(ids)))).mappings().all():
        batch = read_batch(row)
        ended = settle(batch, now)
        change = update(BATCHES).where(BATCHES.c.id == batch.id, BATCHES.c.status == batch.status)
        if ended != batch:
            await connection.execute(change.values(status=ended.status, ended_at=ended.ended_at))


# --- reading ---


async def prepare(connection: AsyncConnection, lines: Sequence[Prepared]) -> None:
    known = await _known(connection, {line.digest for line in lines if line.digest is not None})
    counts: Counter[tuple[str, str]] = Counter()
    for line in lines:
        state, values = _first_state(line, known)
        change = to(state, _is(line.line), C.state == "new", sort=line.order, digest=line.digest, **values)
        counts[line.line.batch, state] += (await connection.execute(change)).rowcount
        if line.digest is not None and state == "waiting":
            known[line.digest] = "waiting"
    for (batch, state_), lines_ in counts.items():
        if state_ in BATCHES.c:
            await count(connection, batch, state_, lines_)


def _first_state(line: Prepared, known: dict[str, str]) -> tuple[LineState, dict[str, Any]]:
    if line.error is not None:
        return "errored", {"result": line.error}
    match known.get(line.digest or ""):
        case None:
            return "waiting", {}
        case "succeeded":
            other = LINES.alias()
            found = select(other.c.result).where(other.c.digest == line.digest, other.c.state == "succeeded")
            return "succeeded", {"reused": True, "result": found.limit(1).scalar_subquery()}
    return "following", {}


async def _known(connection: AsyncConnection, digests: Collection[str]) -> dict[str, str]:
    """Which of the digests has an answer ("succeeded"), which is going to ("waiting")."""
    answered = func.max(case((C.state == "succeeded", 1), else_=0))
    alive = C.state.in_(("waiting", "running", "succeeded"))
    rows = await connection.execute(select(C.digest, answered).where(C.digest.in_(digests), alive).group_by(C.digest))
    return {digest: "succeeded" if has else "waiting" for digest, has in rows}


# --- running ---


def claim(worker: str, until: int, limit: int, after: str, suspects: bool) -> ReturningUpdate[Any]:
    """One statement: whoever else claims at the same time gets others."""
    free = (C.state == "waiting") & ((C.tries >= SUSPECT) if suspects else (C.tries < SUSPECT))
    first = select(func.min(C.batch)).where(free)
    turn = func.coalesce(first.where(C.batch > after).scalar_subquery(), first.scalar_subquery())
    wanted = select(C.batch, C.position).where(free, C.batch == turn).order_by(C.sort, C.position).limit(limit)
    picked = tuple_(C.batch, C.position).in_(wanted.with_for_update(skip_locked=True))
    return to("running", picked, worker=worker, lease=until, tries=C.tries + 1).returning(LINES)


async def finish(connection: AsyncConnection, worker: str, outcome: Outcome) -> set[str]:
    """The ids of the batches that this brings results to."""
    line = outcome.line
    mine = _is(line) & (C.worker == worker)
    if outcome.state is None:
        tries = C.tries if outcome.counted else C.tries - 1
        await connection.execute(to("waiting", mine, tries=tries, **FREE))
        return set()
    if (await connection.execute(to(outcome.state, mine, result=outcome.result, **FREE))).rowcount == 0:
        return set()
    await count(connection, line.batch, outcome.state, 1, outcome.output_tokens)
    changed = {line.batch}
    if line.digest is not None and outcome.state == "succeeded":
        changed |= await _share(connection, line.digest, outcome.result)
    elif line.digest is not None:
        await promote(connection)
    return changed


async def _share(connection: AsyncConnection, digest: str, result: bytes | None) -> set[str]:
    """Give the answer to the lines that follow."""
    following = (C.digest == digest) & (C.state == "following")
    rows = await connection.execute(to("succeeded", following, reused=True, result=result).returning(C.batch))
    lines = Counter(row.batch for row in rows)
    for batch, number in lines.items():
        await count(connection, batch, "succeeded", number)
    return set(lines)


async def promote(connection: AsyncConnection) -> None:
    """Of lines that follow nobody any more, the first of each digest is run itself."""
    other = LINES.alias()
    same = (other.c.digest == C.digest) & (
        other.c.state.in_(("waiting", "running"))
        | ((other.c.state == "following") & (tuple_(other.c.batch, other.c.position) < tuple_(C.batch, C.position)))
    )
    led = select(other.c.batch).where(same).exists()
    await connection.execute(to("waiting", C.state == "following", ~led))


# --- time ---


async def free_stalled(connection: AsyncConnection, now: int) -> None:
    await connection.execute(to("waiting", C.state == "running", C.lease <= now, **FREE))


async def close(connection: AsyncConnection, batch: str, state: LineState) -> None:
    """What has no result gets none."""
    closed = to(state, C.batch == batch, C.state.in_(UNFINISHED), **FREE)
    await count(connection, batch, state, (await connection.execute(closed)).rowcount)


async def archive(connection: AsyncConnection, now: int) -> None:
    """Forget results after their time, and batches that were never received whole."""
    B = BATCHES.c
    old = select(B.id).where(B.status == "ended", B.archived_at.is_(None), B.created_at <= now - KEPT)
    for id in (await connection.execute(old)).scalars().all():
        await connection.execute(delete(LINES).where(C.batch == id))
        await connection.execute(update(BATCHES).where(B.id == id).values(archived_at=now))
    lost = select(B.id).where(B.status == "receiving", B.created_at <= now - RECEIVED)
    await drop(connection, (await connection.execute(lost)).scalars().all())


async def drop(connection: AsyncConnection, ids: Sequence[str]) -> None:
    for id in ids:
        await connection.execute(delete(LINES).where(C.batch == id))
        await connection.execute(delete(BATCHES).where(BATCHES.c.id == id))
