"""What is remembered of answered requests, for those who ask afterwards what one cost."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal

from haiga.core.generation import Choice, Finished, Progress, Routed, Started, StopReason, Usage
from haiga.core.ports import GenerationStore
from haiga.core.records import Generation, Price


class RecentGenerations:
    """The last `size` answered requests, in memory."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._kept: OrderedDict[str, Generation] = OrderedDict()

    async def put(self, generation: Generation) -> None:
        self._kept[generation.id] = generation
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    async def get(self, id: str, workspace: str) -> Generation | None:
        found = self._kept.get(id)
        return found if found and found.workspace == workspace else None

    async def spent(self, workspace: str, since: float) -> Decimal:
        own = (kept for kept in self._kept.values() if kept.workspace == workspace and kept.created_at >= since)
        return sum((kept.cost for kept in own), Decimal(0))


@dataclass(slots=True)
class _Seen:
    """What a stream has told so far."""

    model: str | None = None
    first_at: float | None = None
    stop: StopReason | None = None
    usage: Usage = field(default_factory=Usage)
    ended: bool = False

    def add(self, item: Routed | Choice | Finished, now: float) -> None:
        match item:
            case Routed():
                self.model = item.model
            case Finished():
                self.usage, self.ended = item.usage, True
            case Choice(event=Started(usage=usage)) if item.index == 0:
                self.usage = usage
            case Choice(event=Finished(stop=stop)) if item.index == 0:
                self.stop = stop
            case Choice(event=event) if self.first_at is None and not isinstance(event, Started | Progress):
                self.first_at = now


async def recorded(
    events: AsyncGenerator[Routed | Choice | Finished, None],
    draft: Generation,
    store: GenerationStore,
    price: Callable[[str], Price],
    clock: Callable[[], float],
) -> AsyncGenerator[Routed | Choice | Finished, None]:
    """The events as they are. Once they end, however they do, the request is remembered, if a model took it.

    `draft` holds what is known beforehand, `price` a model's price by its name, `clock` gives unix seconds.
    """
    seen = _Seen()
    try:
        async with aclosing(events):
            async for item in events:
                seen.add(item, clock())
                if isinstance(item, Finished):
                    break
                yield item
    finally:
        if seen.model is not None:
            await store.put(_record(draft, seen, seen.model, price(seen.model), clock()))
    if seen.ended:
        yield Finished(seen.stop or "end_turn", seen.usage)


def _record(draft: Generation, seen: _Seen, model: str, price: Price, now: float) -> Generation:
    return replace(
        draft,
        model=model,
        cancelled=not seen.ended,
        latency=None if seen.first_at is None else seen.first_at - draft.created_at,
        duration=now - draft.created_at,
        stop=seen.stop,
        usage=seen.usage,
        cost=price.of(seen.usage),
        discount=price.discount(seen.usage),
    )
