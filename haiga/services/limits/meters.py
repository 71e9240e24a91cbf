"""Meters in memory, for a server that is alone; implements core.ports.Meters.

Rule: nothing here waits, so that no other request comes between looking and taking.
"""

from collections.abc import Sequence

from haiga.core.limits import Meter, Want


class LocalMeters:
    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    async def take(self, wants: Sequence[Want], now: int) -> Sequence[Meter]:
        meters = [self.seen(want, now) for want in wants]
        if not any(meter.over(want) for meter, want in zip(meters, wants, strict=True)):
            for meter, want in zip(meters, wants, strict=True):
                self._meters[want.meter] = meter.taken(want)
        return meters

    async def give(self, wants: Sequence[Want], now: int) -> None:
        for want in wants:
            self._meters[want.meter] = self.seen(want, now).taken(want)

    def seen(self, want: Want, now: int) -> Meter:
        meter = self._meters.get(want.meter)
        return Meter(want.start, now) if meter is None else meter.drained(want, now)
