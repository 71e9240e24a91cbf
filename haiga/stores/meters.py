"""Meters in a PostgreSQL database, for several servers that share limits; implements core.ports.Meters.

Rule: the rows of all wants are locked in one order, so that between looking and taking nobody comes, and nobody waits
for each other in a ring. What is reckoned is core.limits' own, with the latest clock of all servers.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.limits import Meter, Want
from haiga.stores.tables import METERS

Meters: TypeAlias = dict[str, Meter]
log = logging.getLogger(__name__)
WRITE = (
    update(METERS).where(METERS.c.name == bindparam("of")).values(used=bindparam("now_used"), at=bindparam("now_at"))
)


class DatabaseMeters:
    """Rows in the table meters. Wants that are not `shared` are counted here, by each process for itself: what a
    process holds that dies is then nobody's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: set[str] = set()  # names whose rows are there
        self._seen: Meters = {}
        self._owed: list[Want] = []  # to be given
        self._giving: set[asyncio.Future[None]] = set()  # held until they are done

    async def take(self, wants: Sequence[Want], now: int) -> Sequence[Meter]:
        """Take all of them if all fit, else none. What was taken for somebody who has gone away is given back."""
        taking = asyncio.ensure_future(self._take(wants, now))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda done: self._give_back(done, wants, now))
            raise

    async def _take(self, wants: Sequence[Want], now: int) -> Sequence[Meter]:
        own = [want for want in wants if not want.shared]
        shared = [want for want in wants if want.shared]
        before: Meters = {}

        def taken(meters: Meters) -> Meters:
            before.update(meters | {want.meter: self.seen(want, now) for want in own})
            if any(before[want.meter].over(want) for want in wants):
                return {}
            # at once, so that no other request here comes between
            self._seen |= {want.meter: before[want.meter].taken(want) for want in own}
            return {want.meter: before[want.meter].taken(want) for want in shared}

        await self._change(shared, now, taken)
        return [before[want.meter] for want in wants]

    def _give_back(self, taking: "asyncio.Future[Sequence[Meter]]", wants: Sequence[Want], now: int) -> None:
        if taking.cancelled() or taking.exception() or any(map(Meter.over, taking.result(), wants)):
            return
        giving = asyncio.ensure_future(self.give([replace(want, amount=-want.amount) for want in wants], now))
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)

    async def give(self, wants: Sequence[Want], now: int) -> None:
        """It happens even if whoever waits for it is cancelled; what the database cannot take now, with the next."""
        for want in wants:
            if not want.shared:
                self._seen[want.meter] = self.seen(want, now).taken(want)
        self._owed += [want for want in wants if want.shared]
        if self._owed:
            await asyncio.shield(asyncio.ensure_future(self._pay(now)))

    async def _pay(self, now: int) -> None:
        owed, self._owed = self._owed, []
        sums: dict[str, Want] = {}
        for want in owed:
            before = sums.get(want.meter)
            sums[want.meter] = want if before is None else replace(want, amount=want.amount + before.amount)

        def given(meters: Meters) -> Meters:
            return {name: meters[name].taken(want) for name, want in sums.items()}

        try:
            await self._change(list(sums.values()), now, given)
        except Exception as problem:
            self._owed = [*sums.values(), *self._owed]
            log.warning("limits: what requests did not use is given back late: %s", problem)

    def seen(self, want: Want, now: int) -> Meter:
        meter = self._seen.get(want.meter)
        return Meter(want.start, now) if meter is None else meter.drained(want, now)

    async def _change(self, wants: Sequence[Want], now: int, change: Callable[[Meters], Meters]) -> None:
        """Write what `change` makes of the wants' meters, which are given to it locked and drained."""
        await self._make([want for want in wants if want.meter not in self._known])
        while True:
            async with self._engine.begin() as connection:
                found = await _locked(connection, wants, now)
                if len(found) == len(wants):
                    changed = change(found)
                    if changed:
                        await connection.execute(WRITE, [_row(name, meter) for name, meter in changed.items()])
                    self._seen |= found | changed
                    return
            await self._make(wants)  # somebody has deleted some

    async def _make(self, wants: Sequence[Want]) -> None:
        for want in wants:
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(insert(METERS).values(name=want.meter, used=want.start, at=0))
            except IntegrityError:  # it is there, or another server was faster
                pass
            self._known.add(want.meter)


async def _locked(connection: AsyncConnection, wants: Sequence[Want], now: int) -> Meters:
    if not wants:
        return {}
    by_name: Mapping[str, Want] = {want.meter: want for want in wants}
    query = select(METERS).where(METERS.c.name.in_(by_name)).order_by(METERS.c.name).with_for_update()
    rows = (await connection.execute(query)).all()
    # a server whose clock is behind must not let the others' time pass twice
    return {row.name: Meter(row.used, row.at).drained(by_name[row.name], max(now, row.at)) for row in rows}


def _row(name: str, meter: Meter) -> dict[str, str | int]:
    return {"of": name, "now_used": meter.used, "now_at": meter.at}
