"""The stage that holds requests to limits, and tells callers where they stand.

Rule: a request reserves what it may use at most (the prompt as counted, `max_tokens` of output, what both would cost)
and gives back at its end what it did not use. So no limit is ever exceeded, and none refuses what fits.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.generation import Event, Finished, Quoted, Started, TextRequest, Usage
from haiga.core.limits import Kind, Owner, Standing
from haiga.core.moderation import Moderation, ModerationRequest
from haiga.core.ports import Ask, AskScores, AskVectors, Meters
from haiga.core.records import Price
from haiga.services.limits.needs import Claim, Need, claim, month, refusal

SHOWN: tuple[Kind, ...] = ("requests", "input_tokens", "output_tokens")
KINDS: tuple[Kind, ...] = (*SHOWN, "concurrent", "budget")
TELLING = frozenset((Started, Finished))  # events that say what was used

Count = Callable[[Caller, TextRequest], Awaitable[int]]
Spent = Callable[[Owner, float], Awaitable[int]]


@dataclass(slots=True)
class Hold:
    """What a request has reserved, and what is known of what it used."""

    claims: list[Claim]
    need: Need
    price: Price
    batch: bool = False
    again: bool = False
    usage: Usage = field(default_factory=Usage)
    pieces: int = 0  # events between the two that tell
    ended: bool = False

    def add(self, event: Started | Finished) -> None:
        usage = event.used if isinstance(event, Finished) else event.usage
        self.usage = usage.answer_only if self.again else usage
        self.ended = isinstance(event, Finished)

    def used(self) -> Need:
        """A stream that was closed early used what it had sent: a token for each event at least."""
        if self.usage.reused:
            return Need()
        usage = self.usage if self.ended else replace(self.usage, output=self.pieces)
        cost = self.price.cost(usage, self.batch)
        if self.batch:
            return Need(cost=cost)
        return Need(input_tokens=usage.prompt - usage.cache_read, output_tokens=usage.output, cost=cost)


class Limiter:
    """Holds callers to the limits of their key and workspace over `meters`.

    `count` counts a prompt's tokens, `price` is a model's, `spent` what an owner has spent since a unix second (in
    billionths of a US dollar), asked once a month for each owner. `clock` gives unix seconds.
    """

    def __init__(
        self,
        meters: Meters,
        count: Count,
        price: Callable[[Caller, str], Price],
        spent: Spent,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._meters = meters
        self._count = count
        self._price = price
        self._spent = spent
        self._clock = clock
        self._starts: dict[tuple[str, float], int] = {}

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events; a caller without limits is asked for directly."""
        return self._held(caller, request, ask) if caller.owners else ask(caller, request)

    async def _held(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        request = _fitted(caller, request)
        hold = await self._reserve(caller, request)
        try:
            async with aclosing(ask(caller, request)) as events:
                async for event in events:
                    if type(event) in TELLING:
                        hold.add(event)  # type: ignore[arg-type]
                    elif type(event) is not Quoted:
                        hold.pieces += 1
                    yield event
        finally:
            await self._settle(hold, hold.used())

    async def embed(self, caller: Caller, request: EmbeddingRequest, ask: AskVectors) -> Embeddings:
        """As an answer, but that nobody knows how many tokens the texts have before they are embedded: they are taken
        at the end, and the next request waits for them."""
        if not caller.owners:
            return await ask(caller, request)
        price = self._price(caller, request.model)
        batch = caller.origin.batch
        cost = 0 if price.free else 1
        need = Need(cost=cost) if batch else Need(requests=1, input_tokens=1, concurrent=1, cost=cost)
        hold = Hold(await self._take(caller, need), need, price, batch)
        used = Need()
        try:
            made = await ask(caller, request)
            cost = price.cost(Usage(input=made.tokens), batch)
            used = Need(input_tokens=0 if batch else made.tokens, cost=cost)
        finally:
            await self._settle(hold, used)
        return made

    async def judge(self, caller: Caller, request: ModerationRequest, ask: AskScores) -> Moderation:
        """A judgement takes a request from the limits, but no tokens."""
        if not caller.owners or caller.origin.batch:
            return await ask(caller, request)
        need = Need(requests=1, concurrent=1)
        hold = Hold(await self._take(caller, need), need, Price())
        try:
            return await ask(caller, request)
        finally:
            await self._settle(hold, Need())

    async def hold(self, caller: Caller, model: str, images: int) -> Hold:
        """Take a request and what so many pictures cost, for a job. Raises Limited and Exhausted."""
        price = self._price(caller, model)
        need = Need(requests=1, cost=price.of_images(images))
        return Hold(await self._take(caller, need), need, price)

    async def again(self, caller: Caller, model: str, images: int, at: float, taken: bool) -> Hold:
        """The hold of a job that was asked for at a unix second, before the server's start. Unless it is `taken` still,
        because meters outlast the server, it is taken, whether it fits or not. Raises what finding the price raises."""
        price = self._price(caller, model)
        need, asked = Need(cost=price.of_images(images)), int(at * 1e6)
        claims = [each for owner in caller.owners for each in await self._claims(owner, need, asked)]
        if not taken:
            await self._meters.give([each.want for each in claims if each.want.amount], self._now())
        return Hold(claims, need, price)

    async def settle_images(self, hold: Hold, images: int) -> None:
        """Give back what a job's pictures that were not made would have cost."""
        await self._settle(hold, Need(cost=hold.price.of_images(images)))

    def standing(self, caller: Caller) -> list[Standing]:
        """Where the caller stands with each limit that a minute makes whole: of several of one kind, the nearest."""
        now = self._now()
        found: dict[Kind, Standing] = {}
        for owner in caller.owners:
            for kind in SHOWN:
                limit = getattr(owner.limits, kind)
                if limit is not None:
                    want = claim(owner, kind, limit, 0, now).want
                    meter = self._meters.seen(want, now)
                    stands = Standing(kind, limit, meter.remaining(want), meter.full_again(want) / 1e6)
                    found[kind] = min(found.get(kind, stands), stands, key=lambda each: each.remaining)
        return list(found.values())

    # --- reserving and giving back ---

    async def _reserve(self, caller: Caller, request: TextRequest) -> Hold:
        """Raises Limited, Exhausted and Invalid, and what counting the prompt raises. Lines of batches are no matter of
        minutes: they wait for their turn by themselves, and take from the budget alone."""
        batch, again = request.priority == "batch", caller.origin.again
        price = self._price(caller, request.model)
        counted = not again and any(_counts_prompt(owner, price, batch) for owner in caller.owners)
        prompt = await self._count(caller, request) if counted else 0
        cost = price.most(prompt, request.max_tokens, batch)
        first = 0 if batch or again else 1
        need = Need(cost=cost) if batch else Need(first, prompt, request.max_tokens, first, cost)
        return Hold(await self._take(caller, need), need, price, batch, again)

    async def _take(self, caller: Caller, need: Need) -> list[Claim]:
        now = self._now()
        claims = [each for owner in caller.owners for each in await self._claims(owner, need, now)]
        taken = [each for each in claims if each.want.amount]
        meters = await self._meters.take([each.want for each in taken], now)
        if any(meter.over(each.want) for each, meter in zip(taken, meters, strict=True)):
            raise refusal([each.times(caller.origin.answers) for each in taken], meters, now)
        return claims

    async def _claims(self, owner: Owner, need: Need, now: int) -> list[Claim]:
        limits = [(kind, limit) for kind in KINDS if (limit := getattr(owner.limits, kind)) is not None]
        return [
            claim(owner, kind, limit, need.of(kind), now, await self._start(owner, now) if kind == "budget" else 0)
            for kind, limit in limits
        ]

    async def _start(self, owner: Owner, now: int) -> int:
        """What an owner had spent of its budget before its meter was first seen."""
        key = owner.id, month(now).timestamp()
        if key not in self._starts:
            self._starts[key] = await self._spent(owner, key[1])
        return self._starts[key]

    async def _settle(self, hold: Hold, used: Need) -> None:
        back = hold.need.less(used)
        wants = [each.asks(-back.of(each.kind)) for each in hold.claims]
        await self._meters.give([want for want in wants if want.amount], self._now())

    def _now(self) -> int:
        return int(self._clock() * 1e6)


def _counts_prompt(owner: Owner, price: Price, batch: bool) -> bool:
    return (owner.limits.input_tokens is not None and not batch) or (owner.limits.budget is not None and not price.free)


def _fitted(caller: Caller, request: TextRequest) -> TextRequest:
    """No more output than the limits hold at all, for all answers to a prompt together: an answer that reaches that
    stops as at its `max_tokens`."""
    held: Sequence[int] = [
        owner.limits.output_tokens for owner in caller.owners if owner.limits.output_tokens is not None
    ]
    most = min(held, default=request.max_tokens) // caller.origin.answers
    if request.priority == "batch" or request.max_tokens <= most:
        return request
    return replace(request, max_tokens=most, unbounded=False)
