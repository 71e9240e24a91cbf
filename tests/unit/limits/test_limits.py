"""Limits under a simulated clock: nothing over them, nothing refused that fits."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest

from haiga.core.access import Caller, Origin
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Exhausted, Failed, HaigaError, Invalid, Limited
from haiga.core.generation import Event, Finished, Started, TextDelta, TextRequest, Usage
from haiga.core.limits import DOLLAR, MINUTE, Limits, Meter, Owner, Standing, Want
from haiga.core.messages import Message, Text
from haiga.core.records import Price
from haiga.services.limits import Limiter, LocalMeters

FREE = Price()
CHEAP = Price(prompt=Decimal("0.00001"), completion=Decimal("0.0001"))


@dataclass
class World:
    """A clock, a limiter on it, and a model that uses what `Asked` says."""

    now: float = 1_800_000_000.0  # steps of 1/64 second are whole in binary and in microseconds
    price: Price = FREE
    before: int = 0
    limiter: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.limiter = Limiter(LocalMeters(), self.count, lambda caller, name: self.price, self.spent, lambda: self.now)

    async def count(self, caller: Caller, request: TextRequest) -> int:
        return int(request.extra["prompt"])

    async def spent(self, owner: Owner, since: float) -> int:
        return self.before

    async def model(self, caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
        asked = request.extra
        if asked.get("fails"):
            raise Failed("no")
        usage = Usage(input=asked["prompt"] - asked.get("cached", 0), cache_read=asked.get("cached", 0))
        yield Started(usage)
        for _ in range(min(asked["output"], request.max_tokens)):
            yield TextDelta(0, "word")
        yield Finished("end_turn", replace(usage, output=min(asked["output"], request.max_tokens)))

    async def ask(self, caller: Caller, most: int = 10, **asked: int) -> None:
        async with aclosing(self.limiter.answer(caller, request(most, **asked), self.model)) as events:
            async for _ in events:
                pass

    async def refused(self, caller: Caller, most: int = 10, **asked: int) -> HaigaError | None:
        try:
            await self.ask(caller, most, **asked)
        except HaigaError as error:
            return error
        return None


def request(most: int = 10, **asked: int) -> TextRequest:
    extra = {"prompt": 10, "output": 10} | asked
    return TextRequest("m", (Message("user", (Text("hi"),)),), max_tokens=most, extra=extra)


def caller(id: str = "key_1", **limits: int) -> Caller:
    return Caller(id, owners=(Owner(id, "this API key", Limits(**limits)),))


# --- ten thousand requests ---


@dataclass
class Bucket:
    """A token bucket as books draw it: what is left, filled up evenly. An independent reckoning, in fractions."""

    limit: int
    left: Fraction = field(init=False)
    at: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.left = Fraction(self.limit)

    def fill(self, now: Fraction) -> None:
        self.left = min(Fraction(self.limit), self.left + (now - self.at) * self.limit / 60)
        self.at = now

    def give(self, amount: int) -> None:
        self.left = min(Fraction(self.limit), self.left + amount)


async def test_of_ten_thousand_requests_over_50_keys_none_is_over_and_none_refused_that_fits() -> None:
    random, world = Random(0), World()
    kinds = ("requests", "input_tokens", "output_tokens")
    ranges = {"requests": (1, 60), "input_tokens": (50, 5000), "output_tokens": (50, 5000)}
    limits = [{kind: random.randint(*ranges[kind]) for kind in kinds if random.random() < 0.8} for _ in range(50)]
    shared = Limits(requests=600, input_tokens=50_000)
    workspace = Owner("wrkspc_1", "workspace team", shared)
    callers = [
        Caller(f"k{i}", owners=(Owner(f"k{i}", "this API key", Limits(**each)), workspace))
        for i, each in enumerate(limits)
    ]
    books = [{kind: Bucket(limit) for kind, limit in each.items()} for each in limits]
    common = {"requests": Bucket(600), "input_tokens": Bucket(50_000)}
    passed = 0
    for _ in range(10_000):
        world.now += random.choice([0, 0, 1 / 64, 1 / 16, 0.25])
        at = random.randrange(50)
        asked = {"prompt": random.randint(1, 50), "output": random.randint(0, 20)}
        cached, most = random.randint(0, asked["prompt"]), random.randint(20, 50)
        need = {"requests": 1, "input_tokens": asked["prompt"], "output_tokens": most}
        involved = [(bucket, kind) for group in (books[at], common) for kind, bucket in group.items()]
        for bucket, _ in involved:
            bucket.fill(Fraction(world.now))
        fits = all(bucket.left >= need[kind] for bucket, kind in involved)
        refusal = await world.refused(callers[at], most, cached=cached, **asked)
        assert fits == (refusal is None)
        if refusal is None:
            passed += 1
            used = {"requests": 1, "input_tokens": asked["prompt"] - cached, "output_tokens": asked["output"]}
            for bucket, kind in involved:
                bucket.left -= need[kind]
                bucket.give(need[kind] - used[kind])
        else:
            assert isinstance(refusal, Limited)
    assert 1000 < passed < 9000


async def test_of_answers_that_overlap_none_is_over_and_none_refused_that_fits() -> None:
    """Answers begin, go on, end or are closed early in any order, under limits of tokens, money and number at once."""
    random, world = Random(3), World(price=CHEAP)
    by = caller(output_tokens=200, concurrent=4, budget=100 * 1_100_000)
    tokens, money, running, passed = Bucket(200), 100 * 1_100_000, [], 0  # an answer as asked costs 1,100,000
    for _ in range(3000):
        world.now += random.choice([0, 1 / 64, 0.25])
        if random.random() < 0.5 and running:
            events, most, prompt, said = running.pop(random.randrange(len(running)))
            output = random.choice([said, said + 1, None])
            while output is None or said < output:
                if isinstance(await anext(events), Finished):
                    break
                said += 1
            await events.aclose()
            tokens.fill(Fraction(world.now))
            tokens.give(most - said)
            money += (most - said) * 100_000
            continue
        most, prompt = random.randint(1, 80), random.randint(1, 20)
        cost = prompt * 10_000 + most * 100_000
        tokens.fill(Fraction(world.now))
        fits = tokens.left >= most and money >= cost and len(running) < 4
        events = world.limiter.answer(by, request(most, prompt=prompt, output=random.randint(0, most)), world.model)
        try:
            await anext(events)
        except (Limited, Exhausted):
            assert not fits
            continue
        assert fits
        tokens.left, money, passed = tokens.left - most, money - cost, passed + 1
        running.append((events, most, prompt, 0))
    assert passed > 100 and money >= 0
    for events, *_ in running:
        await events.aclose()


async def test_a_request_refused_succeeds_at_retry_after_and_not_a_microsecond_before() -> None:
    random = Random(1)
    for _ in range(200):
        world, by = World(), caller(requests=random.randint(1, 9), output_tokens=random.randint(20, 99))
        most = random.randint(1, 20)
        while (refusal := await world.refused(by, most)) is None:
            pass
        assert isinstance(refusal, Limited)
        began, wait = world.now, refusal.retry_after
        world.now = began + wait - 2e-6  # the clock's own grain is a quarter of a microsecond
        assert await world.refused(by, most)
        world.now = began + wait + 1e-6
        assert not await world.refused(by, most)


def test_a_meter_says_exactly_when_a_want_fits() -> None:
    random = Random(2)
    for _ in range(2000):
        limit = random.randint(1, 10**6)
        want = Want("m", limit, random.randint(1, limit))
        meter = Meter(random.randint(0, limit * MINUTE), 0)
        wait = meter.wait(want)
        assert wait is not None
        assert not meter.drained(want, wait).over(want)
        assert not wait or meter.drained(want, wait - 1).over(want)


# --- what is taken and given back ---


async def test_what_was_read_from_the_cache_does_not_count() -> None:
    world, by = World(), caller(input_tokens=100)
    for _ in range(11):
        await world.ask(by, prompt=90, cached=89)
    assert isinstance(await world.refused(by, prompt=90), Limited)


async def test_output_is_reserved_by_max_tokens_and_what_was_not_used_is_given_back() -> None:
    world, by = World(), caller(output_tokens=100)
    async with aclosing(world.limiter.answer(by, request(90, output=5), world.model)) as events:
        await anext(events)
        assert isinstance(await world.refused(by, most=11), Limited)
        async for _ in events:
            pass
    assert not await world.refused(by, most=95, output=95)
    assert isinstance(await world.refused(by, most=1), Limited)


async def test_an_answer_cannot_be_longer_than_the_limit_holds() -> None:
    world, by = World(), caller(output_tokens=7)
    events = [event async for event in world.limiter.answer(by, request(100, output=100), world.model)]
    assert 7 == events[-1].usage.output


async def test_a_request_that_fails_counts_as_one_and_uses_nothing() -> None:
    world, by = World(), caller(requests=2, input_tokens=10, output_tokens=10, concurrent=1)
    assert isinstance(await world.refused(by, fails=1), Failed)
    await world.ask(by)
    assert isinstance(await world.refused(by, prompt=0, most=0, output=0), Limited)


async def test_an_answer_closed_early_used_what_it_had_sent() -> None:
    world, by = World(), caller(output_tokens=10)
    async with aclosing(world.limiter.answer(by, request(10), world.model)) as events:
        for _ in range(4):  # Started, and three words
            await anext(events)
    assert not await world.refused(by, most=7, output=7)
    assert isinstance(await world.refused(by, most=1), Limited)


async def test_a_prompt_that_never_fits_is_wrong_and_not_early() -> None:
    world = World()
    with pytest.raises(Invalid, match="has 11 input tokens, more than the 10 per minute of this API key"):
        await world.ask(caller(input_tokens=10), prompt=11)


async def test_concurrent_requests_are_counted_while_they_run() -> None:
    world, by = World(), caller(concurrent=2)
    async with aclosing(world.limiter.answer(by, request(), world.model)) as one:
        await anext(one)
        async with aclosing(world.limiter.answer(by, request(), world.model)) as other:
            await anext(other)
            with pytest.raises(Limited, match="limit of 2 concurrent requests of this API key"):
                await world.ask(by)
        await world.ask(by)


async def test_a_budget_holds_for_the_month_with_what_was_spent_before_and_is_whole_in_the_next() -> None:
    world = World(price=CHEAP, before=DOLLAR)
    by = caller(budget=DOLLAR + 2_200_000)  # each request costs 10 * 0.00001 + 10 * 0.0001 dollars
    await world.ask(by)
    await world.ask(by)
    with pytest.raises(Exhausted, match=r"budget of \$1\.00 a month of this API key. It is whole again on 2027-02-01"):
        await world.ask(by)
    world.now, world.before = 1_801_450_000.0, 0  # 2 February
    await world.ask(by)


async def test_a_batch_takes_half_the_price_from_the_budget_and_nothing_else() -> None:
    world, by = World(price=CHEAP), caller(budget=1_100_000, requests=1, output_tokens=1, input_tokens=1, concurrent=1)
    for _ in range(2):
        asked = replace(request(), priority="batch")
        assert [event async for event in world.limiter.answer(by, asked, world.model)]
    assert ["requests", "input_tokens", "output_tokens"] == [each.kind for each in world.limiter.standing(by)]
    assert {1} == {each.remaining for each in world.limiter.standing(by)}
    with pytest.raises(Exhausted):
        await world.ask(replace(by, owners=(replace(by.owners[0], limits=Limits(budget=1_100_000)),)))


async def test_of_several_answers_to_one_prompt_the_prompt_counts_once() -> None:
    world, by = World(price=CHEAP), caller(requests=1, input_tokens=10, output_tokens=30, budget=3_100_000)
    first = replace(by, origin=Origin(answers=3))
    for each in (first, *[replace(by, origin=Origin(answers=3, again=True))] * 2):
        await world.ask(each)
    left = {each.kind: each.remaining for each in world.limiter.standing(by)}
    assert {"requests": 0, "input_tokens": 0, "output_tokens": 0} == left
    with pytest.raises(Exhausted):
        await world.ask(caller(budget=3_100_000), output=1, most=1)


async def test_several_answers_fit_together_or_wait_for_all_of_them() -> None:
    world, by = World(), replace(caller(output_tokens=60), origin=Origin(answers=3))
    with suppress(Limited):
        for _ in range(9):
            await world.ask(by, most=20, output=20)
    refusal = await world.refused(by, most=20)
    assert isinstance(refusal, Limited) and 60 == refusal.retry_after


async def test_embeddings_are_counted_at_their_end() -> None:
    async def vectors(caller: Caller, request: EmbeddingRequest) -> Embeddings:
        return Embeddings((), 70)

    world, by = World(), caller(input_tokens=60)
    asked = EmbeddingRequest("m", ("text",))
    await world.limiter.embed(by, asked, vectors)
    with pytest.raises(Limited) as refused:
        await world.limiter.embed(by, asked, vectors)
    assert 11 == refused.value.retry_after


# --- where a caller stands ---


async def test_a_caller_is_told_what_is_left_and_when_it_is_whole_again() -> None:
    world, by = World(), caller(requests=2, output_tokens=60)
    await world.ask(by, most=30, output=15)
    stands = {each.kind: each for each in world.limiter.standing(by)}
    assert Standing("requests", 2, 1, world.now + 30) == stands["requests"]
    assert Standing("output_tokens", 60, 45, world.now + 15) == stands["output_tokens"]


async def test_of_two_limits_of_a_kind_the_nearer_is_told() -> None:
    world = World()
    team = Owner("wrkspc_1", "workspace team", Limits(requests=3))
    by = Caller("k", owners=(Owner("k", "this API key", Limits(requests=5)), team))
    await world.ask(by)
    assert [(3, 2)] == [(each.limit, each.remaining) for each in world.limiter.standing(by)]


async def test_a_caller_without_limits_is_asked_for_with_nothing_between() -> None:
    world = World()
    events = world.limiter.answer(Caller(), request(), world.model)
    assert events.ag_code is world.model(Caller(), request()).ag_code
    await events.aclose()
