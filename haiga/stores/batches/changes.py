"""Status changes as statements.

Rule: every change says from which states it starts (core.jobs.before), so that of two who change a line one comes too
late and changes nothing. What depends on several lines, such as who follows whom, is changed by one at a time.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, bindparam, case, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate, Update

from haiga.core.jobs import (
    CHANGES,
    FINAL,
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
from haiga.core.webhooks import batch_event
from haiga.stores.batches.rows import TOKENS, papers_text, read_batch
from haiga.stores.tables import BATCHES, LINES
from haiga.stores.webhooks import tell

C = LINES.c
FREE: dict[str, Any] = {"worker": None, "lease": None}


def to(state: LineState, *which: ColumnElement[bool], **values: Any) -> Update:
    """Lines come to `state`, from wherever they may."""
    return update(LINES).where(C.state.in_(before(state)), *which).values(state=state, **values)


def each(start: LineState, state: LineState, **values: Any) -> Update:
    """The lines named by the parameters `of` and `at`, many at once, come from one state to another."""
    assert state in CHANGES[start]
    named = (C.batch == bindparam("of")) & (C.position == bindparam("at"))
    return update(LINES).where(named, C.state == start).values(state=state, **values)


def _place(line: Line) -> dict[str, Any]:
    return {"of": line.batch, "at": line.position}


async def count(
    connection: AsyncConnection, batch: str, state: str, lines: int, outcomes: Sequence[Outcome] = ()
) -> None:
    """Lines of a batch came to a final state; `outcomes` are those of lines that were computed."""
    tokens = {BATCHES.c[name]: sum(getattr(outcome, name) for outcome in outcomes) for name in TOKENS}
    added = {BATCHES.c[state]: lines} | tokens
    values = {column: column + more for column, more in added.items()}
    await connection.execute(update(BATCHES).where(BATCHES.c.id == batch).values(values))


async def end(connection: AsyncConnection, ids: Collection[str], now: int) -> None:
    """End those of the batches that have every result."""
    for row in (await connection.execute(select(BATCHES).where(BATCHES.c.id.in_(ids)))).mappings().all():
        batch = read_batch(row)
        ended = settle(batch, now)
        change = update(BATCHES).where(BATCHES.c.id == batch.id, BATCHES.c.status == batch.status)
        if ended == batch:
            continue
        values = {"status": ended.status, "ended_at": ended.ended_at, "papers": papers_text(ended)}
        if (await connection.execute(change.values(values))).rowcount and ended.over:
            await tell(connection, batch_event(ended))


# --- reading ---


def take_unread(worker: str, until: int, limit: int) -> ReturningUpdate[Any]:
    """One statement: whoever else reads at the same time gets others. They stay new."""
    going = select(BATCHES.c.id).where(BATCHES.c.status == "in_progress")
    # by the index: what is new has nothing to sort by yet
    new = select(C.batch, C.position).where(C.state == "new", C.worker.is_(None), C.batch.in_(going))
    return _taken(new.order_by(C.batch, C.sort, C.position), limit).values(worker=worker, lease=until).returning(LINES)


def _taken(wanted: Select[tuple[str, int]], limit: int) -> Update:
    """The first of the lines wanted that nobody else is taking; a CTE, since that is evaluated once."""
    picked = wanted.limit(limit).with_for_update(skip_locked=True).cte("picked")
    return update(LINES).where(tuple_(C.batch, C.position).in_(select(picked)))


async def prepare(connection: AsyncConnection, worker: str, lines: Sequence[Prepared]) -> None:
    mine = await holding(connection, worker, "new")
    known = await _known(connection, {line.digest for line in lines if line.digest is not None})
    groups: defaultdict[tuple[str, LineState], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if (line.line.batch, line.line.position) not in mine:
            continue
        state = _first_state(line, known)
        if state == "waiting" and line.digest is not None:
            known[line.digest] = "following"
        told = {"as": line.digest, "like": line.order, "error": line.error}
        groups[line.line.batch, state].append(_place(line.line) | told)
    for (batch, state), rows in groups.items():
        await connection.execute(_read(state), rows)
        if state in FINAL:
            await count(connection, batch, state, len(rows))


def _first_state(line: Prepared, known: Mapping[str, LineState]) -> LineState:
    if line.error is not None:
        return "errored"
    return "waiting" if line.digest is None else known.get(line.digest, "waiting")


def _read(state: LineState) -> Update:
    """New lines come to their first state."""
    change = each("new", state, sort=bindparam("like"), digest=bindparam("as"), **FREE)
    if state == "succeeded":
        other = LINES.alias()
        found = select(other.c.result).where(other.c.digest == bindparam("as"), other.c.state == "succeeded")
        return change.values(reused=True, result=found.limit(1).scalar_subquery())
    return change.values(result=bindparam("error"))


async def _known(connection: AsyncConnection, digests: Collection[str]) -> dict[str, LineState]:
    """What becomes of a line with one of the digests: it has its answer already, or follows the one that is run."""
    answered = func.max(case((C.state == "succeeded", 1), else_=0))
    alive = C.state.in_(("waiting", "running", "succeeded"))
    rows = await connection.execute(select(C.digest, answered).where(C.digest.in_(digests), alive).group_by(C.digest))
    return {digest: "succeeded" if has else "following" for digest, has in rows}


# --- running ---


def claim(worker: str, until: int, limit: int, suspects: bool) -> ReturningUpdate[Any]:
    """One statement: whoever else claims at the same time gets others."""
    free = (C.state == "waiting") & ((C.tries >= SUSPECT) if suspects else (C.tries < SUSPECT))
    wanted = select(C.batch, C.position).where(free, C.batch == _turn(free)).order_by(C.sort, C.position)
    return _taken(wanted, limit).values(state="running", worker=worker, lease=until, tries=C.tries + 1).returning(LINES)


def _turn(free: ColumnElement[bool]) -> ScalarSelect[str]:
    """Of the batches with lines that are free, the oldest one of those with the fewest lines under way, in the
    workspace with the fewest."""
    B = BATCHES.c
    running = select(B.workspace, B.id, func.count().label("lines")).join(LINES, C.batch == B.id)
    busy = running.where(C.state == "running").group_by(B.workspace, B.id).cte("busy")
    lines = select(func.coalesce(func.sum(busy.c.lines), 0))
    waits = select(C.batch).where(C.batch == B.id, free).exists()
    going = select(B.id).where(B.status == "in_progress", waits)
    of_workspace, of_batch = (
        lines.where(same).scalar_subquery() for same in (busy.c.workspace == B.workspace, busy.c.id == B.id)
    )
    return going.order_by(of_workspace, of_batch, B.id).limit(1).scalar_subquery()


def taken(worker: str) -> ColumnElement[bool]:
    """The lines that a worker reads or runs."""
    return C.state.in_(("new", "running")) & (C.worker == worker)


async def holding(connection: AsyncConnection, worker: str, state: LineState) -> set[tuple[str, int]]:
    """The lines that a worker has taken, as batch and position."""
    query = select(C.batch, C.position).where(C.state == state, C.worker == worker)
    return {(row.batch, row.position) for row in await connection.execute(query)}


async def finish(connection: AsyncConnection, worker: str, outcomes: Sequence[Outcome]) -> set[str]:
    """The ids of the batches that this brings results to."""
    open_ = await holding(connection, worker, "running")
    changed: set[str] = set()
    for state in ("waiting", "succeeded", "errored"):
        of_state = [outcome for outcome in outcomes if (outcome.state or "waiting") == state]
        mine = {key: outcome for outcome in of_state if (key := (outcome.line.batch, outcome.line.position)) in open_}
        open_ -= mine.keys()
        if mine and state == "waiting":
            await _give_back(connection, list(mine.values()))
        elif mine:
            changed |= await _keep(connection, state, list(mine.values()))
    return changed


async def _give_back(connection: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    rows = [_place(outcome.line) | {"less": 0 if outcome.counted else 1} for outcome in outcomes]
    await connection.execute(each("running", "waiting", tries=C.tries - bindparam("less"), **FREE), rows)


async def _keep(connection: AsyncConnection, state: LineState, outcomes: Sequence[Outcome]) -> set[str]:
    rows = [_place(outcome.line) | {"told": outcome.result} for outcome in outcomes]
    await connection.execute(each("running", state, result=bindparam("told"), **FREE), rows)
    lines = Counter(outcome.line.batch for outcome in outcomes)
    for batch, number in lines.items():
        await count(connection, batch, state, number, [each for each in outcomes if each.line.batch == batch])
    results = {outcome.line.digest: outcome.result for outcome in outcomes if outcome.line.digest is not None}
    return {*lines, *await _lead(connection, state, results)}


async def _lead(connection: AsyncConnection, state: LineState, results: Mapping[str, bytes | None]) -> set[str]:
    """Lines that follow one that has ended get its answer, or one of them is run."""
    query = select(C.digest).where(C.digest.in_(results), C.state == "following").distinct()
    followed = (await connection.execute(query)).scalars().all()
    changed: set[str] = set()
    if followed and state == "errored":
        await promote(connection)
    elif followed:
        for digest in followed:
            changed |= await _share(connection, digest, results[digest])
    return changed


async def _share(connection: AsyncConnection, digest: str, result: bytes | None) -> set[str]:
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


async def release(connection: AsyncConnection, worker: str) -> None:
    """What a worker has taken is there for others, and was not tried."""
    await connection.execute(update(LINES).where(C.state == "new", C.worker == worker).values(FREE))
    await connection.execute(to("waiting", C.state == "running", C.worker == worker, tries=C.tries - 1, **FREE))


# --- time ---


async def free_stalled(connection: AsyncConnection, now: int) -> None:
    """Lines whose worker is gone are there to be read, or run, by others."""
    await connection.execute(update(LINES).where(C.state == "new", C.lease <= now).values(FREE))
    await connection.execute(to("waiting", C.state == "running", C.lease <= now, **FREE))


async def close(connection: AsyncConnection, batch: str, state: LineState) -> None:
    """What has no result gets none."""
    closed = to(state, C.batch == batch, C.state.in_(UNFINISHED), **FREE)
    await count(connection, batch, state, (await connection.execute(closed)).rowcount)


async def archive(connection: AsyncConnection, now: int, keep: int) -> None:
    """Forget what is in batches `keep` seconds after they were made, and batches that were never received whole."""
    B = BATCHES.c
    old = select(B.id).where(B.status == "ended", B.archived_at.is_(None), B.created_at <= now - keep)
    for id in (await connection.execute(old)).scalars().all():
        await connection.execute(delete(LINES).where(C.batch == id))
        await connection.execute(update(BATCHES).where(B.id == id).values(archived_at=now))
    lost = select(B.id).where(B.status == "receiving", B.created_at <= now - RECEIVED)
    await drop(connection, (await connection.execute(lost)).scalars().all())


async def drop(connection: AsyncConnection, ids: Sequence[str]) -> None:
    for id in ids:
        await connection.execute(delete(LINES).where(C.batch == id))
        await connection.execute(delete(BATCHES).where(BATCHES.c.id == id))
