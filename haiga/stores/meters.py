"""Meters in a PostgreSQL database, for several servers that share limits; implements core.ports.Meters.

Rule: the rows of all wants are locked in one order, so that between looking and taking nobody comes, and nobody waits
for each other in a ring. What is reckoned is core.limits' own, with the latest clock of all servers. What is leased is
the sum of what the servers hold that are there; its row in meters is what is locked.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import TypeAlias

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.limits import Meter, Want
from haiga.stores.tables import HOLDS, METERS

Meters: TypeAlias = dict[str, Meter]
LEASE = 30_000_000  # microseconds that what a server holds is in use when nothing more is heard of it
FORGOTTEN = 3_600_000_000  # microseconds after which a server that is gone is not remembered
log = logging.getLogger(__name__)
WRITE = (
    update(METERS).where(METERS.c.name == bindparam("of")).values(used=bindparam("now_used"), at=bindparam("now_at"))
)


class DatabaseMeters:
    """Rows in the table meters; what is leased, in the table holds, under the name `server`. From `start` to `close`
    its leases of LEASE seconds are renewed. `clock` gives unix seconds."""

    def __init__(self, engine: AsyncEngine, server: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._server = server or token_hex(8)
        self._clock = clock
        self._known: set[str] = set()  # names whose rows are there
        self._seen: Meters = {}
        self._owed: list[Want] = []  # to be given
        self._giving: set[asyncio.Future[None]] = set()  # held until they are done
        self._leased: Counter[str] = Counter()
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, wants: Sequence[Want], now: int) -> Sequence[Meter]:
        """Take all of them if all fit, else none. What was taken for somebody who has gone away is given back."""
        taking = asyncio.ensure_future(self._take(wants, now))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda done: self._give_back(done, wants, now))
            raise

    async def _take(self, wants: Sequence[Want], now: int) -> Sequence[Meter]:
        before: Meters = {}

        def taken(meters: Meters) -> Meters:
            before.update(meters)
            if any(meters[want.meter].over(want) for want in wants):
                return {}
            return {want.meter: meters[want.meter].taken(want) for want in wants}

        await self._change(wants, now, taken)
        return [before[want.meter] for want in wants]

    def _give_back(self, taking: "asyncio.Future[Sequence[Meter]]", wants: Sequence[Want], now: int) -> None:
        if taking.cancelled() or taking.exception() or any(map(Meter.over, taking.result(), wants)):
            return
        giving = asyncio.ensure_future(self.give([replace(want, amount=-want.amount) for want in wants], now))
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)

    async def give(self, wants: Sequence[Want], now: int) -> None:
        """It happens even if whoever waits for it is cancelled; what the database cannot take now, with the next."""
        self._owed += wants
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
                    leased = [want for want in wants if want.leased and want.meter in changed]
                    for want in leased:
                        await self._hold(connection, want, now)
                    own = changed.keys() - {want.meter for want in leased}
                    if own:
                        await connection.execute(WRITE, [_row(name, changed[name]) for name in sorted(own)])
                    break
            await self._make(wants)  # somebody has deleted some
        self._seen |= found | changed
        self._leased.update({want.meter: want.amount for want in leased})

    async def _hold(self, connection: AsyncConnection, want: Want, now: int) -> None:
        """Have more, or less, of a meter."""
        until = now + LEASE
        mine = (HOLDS.c.meter == want.meter) & (HOLDS.c.server == self._server)
        more = update(HOLDS).where(mine).values(used=HOLDS.c.used + want.amount, until=until)
        if not (await connection.execute(more)).rowcount:
            row = {"meter": want.meter, "server": self._server, "used": want.amount, "until": until}
            await connection.execute(insert(HOLDS).values(row))

    # --- leases ---

    def start(self) -> None:
        self._renewing = asyncio.create_task(self._go_on(), name="leases")

    async def close(self) -> None:
        """Give up what is still held."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._drop(HOLDS.c.server == self._server)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 3e6)
            now = int(self._clock() * 1e6)
            try:
                await self.renew(now)
                await self._drop(HOLDS.c.until < now - FORGOTTEN)
            except Exception as problem:
                log.warning("limits: what this server holds is renewed late: %s", problem)

    async def renew(self, now: int) -> None:
        """Put off the end of what is held. One row at a time, so that nobody waits for each other in a ring."""
        for meter, count in list(self._leased.items()):
            if count > 0:
                mine = (HOLDS.c.meter == meter) & (HOLDS.c.server == self._server)
                async with self._engine.begin() as connection:
                    await connection.execute(update(HOLDS).where(mine).values(until=now + LEASE))

    async def _drop(self, which: ColumnElement[bool]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(HOLDS).where(which))

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
    found = {row.name: Meter(row.used, row.at).drained(by_name[row.name], max(now, row.at)) for row in rows}
    leased = [want.meter for want in wants if want.leased and want.meter in found]
    return found | (await _held(connection, leased, now) if leased else {})


async def _held(connection: AsyncConnection, names: Sequence[str], now: int) -> Meters:
    """What all servers that are there have of meters."""
    held = select(HOLDS.c.meter, func.sum(HOLDS.c.used)).where(HOLDS.c.meter.in_(names), HOLDS.c.until > now)
    sums = {name: int(used) for name, used in (await connection.execute(held.group_by(HOLDS.c.meter))).all()}
    return {name: Meter(max(0, sums.get(name, 0)), now) for name in names}


def _row(name: str, meter: Meter) -> dict[str, str | int]:
    return {"of": name, "now_used": meter.used, "now_at": meter.at}
