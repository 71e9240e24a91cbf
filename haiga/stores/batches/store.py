"""The methods of a batch's owner and of a worker. See the package for the rule."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import ReturningUpdate

from haiga.core.files import KeptFile
from haiga.core.jobs import KEPT, Batch, Line, Outcome, Page, Prepared, Result, verdict
from haiga.stores.batches import changes, papers
from haiga.stores.batches.rows import batch_row, line_row, read_batch, read_line
from haiga.stores.locks import BATCHES as LOCK
from haiga.stores.locks import lock
from haiga.stores.tables import BATCHES, LINES

READ = 500  # results read at a time
LIVE = BATCHES.c.status.in_(("in_progress", "canceling"))


class DatabaseBatches:
    """Rows in the tables batches and batch_lines. `keep`: seconds from a batch's creation that its requests and results
    are kept."""

    def __init__(self, engine: AsyncEngine, keep: int = KEPT) -> None:
        self._engine = engine
        self._keep = keep

    # --- the owner ---

    async def open(self, batch: Batch) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(insert(BATCHES).values(batch_row(batch)))

    async def fill(self, lines: Sequence[Line]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(insert(LINES), [line_row(line) for line in lines])

    async def seal(self, batch: Batch) -> bool:
        """The batch was received whole; False when it is gone meanwhile."""
        sealed = update(BATCHES).where(BATCHES.c.id == batch.id, BATCHES.c.status == "receiving")
        async with self._engine.begin() as connection:
            return (await connection.execute(sealed.values(status=batch.status, total=batch.total))).rowcount == 1

    async def drop(self, id: str) -> None:
        async with self._alone() as connection:
            await changes.drop(connection, [id])

    async def get(self, workspace: str, id: str) -> Batch | None:
        async with self._engine.connect() as connection:
            return await _one(connection, workspace, id)

    async def page(
        self, workspace: str, limit: int, after: str | None = None, before: str | None = None, filed: bool = False
    ) -> Page:
        """The newest ones, or those right after (older than) or right before (newer than) one."""
        id = BATCHES.c.id
        query = select(BATCHES).where(BATCHES.c.workspace == workspace, BATCHES.c.status != "receiving")
        query = query.where(BATCHES.c.papers.is_not(None) if filed else BATCHES.c.papers.is_(None))
        query = query if after is None else query.where(id < after)
        query = query if before is None else query.where(id > before)
        upwards = before is not None and after is None
        query = query.order_by(id.asc() if upwards else id.desc()).limit(limit + 1)
        async with self._engine.connect() as connection:
            found = [read_batch(row) for row in (await connection.execute(query)).mappings()]
        shown = found[:limit]
        return Page(tuple(reversed(shown) if upwards else shown), len(found) > limit)

    async def cancel(self, workspace: str, id: str, now: int) -> Batch | None:
        """Ask for the batch to be canceled; see core.jobs.cancel."""
        async with self._alone() as connection:
            batch = await _one(connection, workspace, id)
            if batch is not None and batch.status in ("validating", "in_progress"):
                await papers.cancel(connection, batch, now)
            return await _one(connection, workspace, id)

    async def results(self, id: str) -> AsyncIterator[Result]:
        """The results of a batch that has ended, in the order of its lines."""
        last = -1
        columns = select(LINES.c.position, LINES.c.custom_id, LINES.c.result, LINES.c.reused, LINES.c.state)
        while True:
            query = columns.where(LINES.c.batch == id, LINES.c.position > last).order_by(LINES.c.position).limit(READ)
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
            if not rows:
                return
            for row in rows:
                # what was canceled or expired has nothing to say but that
                told = row.result or b'{"type":"%b"}' % row.state.encode()
                yield Result(row.custom_id, told, row.reused, row.position, row.state)
            last = rows[-1].position

    # --- the clerk ---

    async def take_papers(self, clerk: str, now: int, until: int) -> Batch | None:
        """See BatchStore."""
        async with self._engine.connect() as connection:
            if not (await connection.execute(papers.waiting())).first():
                return None
        async with self._engine.begin() as connection:
            row = (await connection.execute(papers.take(clerk, now, until))).mappings().one_or_none()
        return None if row is None else read_batch(row)

    async def hold_papers(self, clerk: str, id: str, until: int) -> bool:
        """See BatchStore."""
        async with self._engine.begin() as connection:
            return (await connection.execute(papers.held(clerk, id).values(clerk_until=until))).rowcount == 1

    async def clear(self, clerk: str, id: str) -> None:
        """See BatchStore."""
        async with self._engine.begin() as connection:
            await connection.execute(papers.clear(clerk, id))

    async def conclude(self, clerk: str, batch: Batch, files: Sequence[KeptFile] = ()) -> bool:
        """See BatchStore."""
        async with self._alone() as connection:
            return await papers.conclude(connection, clerk, batch, files)

    # --- the worker ---

    async def unread(self, worker: str, until: int, limit: int) -> list[Line]:
        """Take up to `limit` lines that were not read yet, the oldest batch's first, in one statement."""
        return await self._take(changes.take_unread(worker, until, limit))

    async def prepare(self, worker: str, lines: Sequence[Prepared], now: int) -> None:
        """Lines that the worker read wait to be run, or follow an identical one, or have its answer or their error."""
        async with self._alone() as connection:
            await changes.prepare(connection, worker, lines)
            await changes.end(connection, {line.line.batch for line in lines}, now)

    async def claim(self, worker: str, until: int, limit: int, suspects: bool) -> list[Line]:
        """Take up to `limit` waiting lines of one batch, in one statement: suspects (see core.jobs.SUSPECT) or others.

        It is the turn of the workspace, and in it of the batch, that has the fewest lines under way."""
        return await self._take(changes.claim(worker, until, limit, suspects))

    async def renew(self, worker: str, until: int) -> set[tuple[str, int]]:
        """Go on holding what the worker has taken; gives back what of it runs, as batch and position."""
        async with self._alone() as connection:
            await connection.execute(update(LINES).where(changes.taken(worker)).values(lease=until))
            return await changes.holding(connection, worker, "running")

    async def finish(self, worker: str, outcomes: Sequence[Outcome], now: int) -> None:
        """Results of lines that the worker still holds; of others nothing is kept."""
        async with self._alone() as connection:
            await changes.end(connection, await changes.finish(connection, worker, outcomes), now)

    async def release(self, worker: str) -> None:
        """Give back what the worker holds, as if it had never taken it."""
        async with self._alone() as connection:
            await changes.release(connection, worker)

    async def sweep(self, now: int) -> None:
        """What time brings: lines whose worker is gone wait again, batches are canceled, expire, end, are archived."""
        async with self._alone() as connection:
            await changes.free_stalled(connection, now)
            live = await _batches(connection, None)
            for batch in live.values():
                if closing := verdict(batch, now):
                    await changes.close(connection, batch.id, closing)
            await changes.promote(connection)
            await changes.end(connection, set(live), now)
            await changes.archive(connection, now, self._keep)

    async def _take(self, taking: ReturningUpdate[Any]) -> list[Line]:
        async with self._engine.begin() as connection:
            rows = (await connection.execute(taking)).mappings().all()
            batches = await _batches(connection, {row["batch"] for row in rows})
        lines = [read_line(row, batches[row["batch"]]) for row in rows]
        return sorted(lines, key=lambda line: (line.batch, line.order, line.position))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, one at a time among all who change what is kept of batches."""
        async with self._engine.begin() as connection:
            await lock(connection, LOCK)
            yield connection


async def _one(connection: AsyncConnection, workspace: str, id: str) -> Batch | None:
    owned = (BATCHES.c.id == id) & (BATCHES.c.workspace == workspace)
    row = (
        (await connection.execute(select(BATCHES).where(owned, BATCHES.c.status != "receiving")))
        .mappings()
        .one_or_none()
    )
    return None if row is None else read_batch(row)


async def _batches(connection: AsyncConnection, ids: Collection[str] | None) -> dict[str, Batch]:
    """The batches with these ids; None for every live one."""
    which = LIVE if ids is None else BATCHES.c.id.in_(ids)
    rows = (await connection.execute(select(BATCHES).where(which))).mappings()
    return {row["id"]: read_batch(row) for row in rows}
