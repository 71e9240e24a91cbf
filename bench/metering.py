"""What records and limits cost: microseconds of processor time for a request, and for an event that passes them.

Rule: the model says nothing or has every word ready, so that all time spent beyond `nothing between` is the stages'.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from haiga.core.access import Caller
from haiga.core.generation import BlockStarted, BlockStopped, Event, Finished, Started, TextDelta, TextRequest, Usage
from haiga.core.limits import Limits, Owner
from haiga.core.messages import Message, Text
from haiga.core.ports import Ask, Stage
from haiga.core.records import Price, Record
from haiga.services.limits import Limiter, LocalMeters
from haiga.services.usage import Recorder

REQUESTS, EVENTS = 5_000, 20_000
PRICE = Price(Decimal("0.000001"), Decimal("0.000004"))
EVERY = Limits(requests=10**9, input_tokens=10**9, output_tokens=10**9, concurrent=10**6, budget=10**15)
TEXT = (Message("user", (Text("hi"),)),)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds."""

    name: str
    request: float
    event: float


async def _model(caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
    yield Started(Usage(input=10))
    yield BlockStarted(0, Text(""))
    for _ in range(request.max_tokens):
        yield TextDelta(0, " word")
    yield BlockStopped(0)
    yield Finished("end_turn", Usage(input=10, output=request.max_tokens))


def run(rounds: int) -> list[Cost]:
    """Of the rounds, the best."""
    records: list[Record] = []
    recorder = Recorder(records.append, lambda caller, name: (name, PRICE))

    async def count(caller: Caller, request: TextRequest) -> int:
        return 10

    async def spent(owner: Owner, since: float) -> int:
        return 0

    limiter = Limiter(LocalMeters(), count, lambda caller, name: PRICE, spent)
    owner = Owner("key_1", "this API key", EVERY)
    one = Caller("key_1", owners=(Owner("key_1", "this API key", Limits(requests=10**9)),))
    every = Caller("key_1", owners=(owner, Owner("wrkspc_1", "workspace team", EVERY)))
    ways: Sequence[tuple[str, Sequence[Stage], Caller]] = (
        ("nothing between", (), Caller()),
        ("recorded", (recorder,), Caller()),
        ("recorded, no limits", (recorder, limiter), Caller()),
        ("recorded, one limit", (recorder, limiter), one),
        ("recorded, five limits of key and workspace each", (recorder, limiter), every),
    )
    return [_cost(name, stages, caller, rounds) for name, stages, caller in ways]


def _cost(name: str, stages: Sequence[Stage], caller: Caller, rounds: int) -> Cost:
    ask: Ask = _model
    for stage in reversed(stages):
        ask = _passing(stage, ask)
    request = min(asyncio.run(_time(ask, caller, REQUESTS, 0)) for _ in range(rounds)) / REQUESTS
    event = min(asyncio.run(_time(ask, caller, 1, EVENTS)) for _ in range(rounds)) / EVENTS
    return Cost(name, request * 1e6, event * 1e6)


def _passing(stage: Stage, ask: Ask) -> Ask:
    return lambda caller, request: stage.answer(caller, request, ask)


async def _time(ask: Ask, caller: Caller, requests: int, events: int) -> float:
    request = TextRequest("m", TEXT, max_tokens=events)
    began = time.process_time()
    for _ in range(requests):
        async for _ in ask(caller, request):
            pass
    return time.process_time() - began
