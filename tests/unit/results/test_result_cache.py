"""What was asked before is answered from the store, for those who want it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from haiga.core.access import Caller, Origin
from haiga.core.errors import Failed, NotFound
from haiga.core.generation import Event, Reply, SamplingRequest, TextDelta, TextRequest, fold
from haiga.core.jobs import Rules
from haiga.core.limits import DOLLAR
from haiga.core.messages import Image, Message, Text, UrlSource
from haiga.core.records import Price
from haiga.core.results import Reuse
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.batches import Batches, Worker
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.results import ResultCache
from haiga.stores.batches import DatabaseBatches
from haiga.stores.connect import connect
from haiga.stores.results import DatabaseResults
from haiga.wire.anthropic.batches import ENDPOINT, BatchReader, MessageLines
from haiga.wire.anthropic.messages_in import read_message

ASKED = TextRequest(
    "fake", (Message("user", (Text("one two three"),)),), max_tokens=64, sampling=SamplingRequest(temperature=0)
)


class Counting(FakeEngine):
    """Counts what it is asked."""

    asked = 0

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.asked += 1
        async for event in super().generate(request):
            yield event


class Lab:
    """A model behind a cache whose time stands still until it is moved."""

    def __init__(self, store: DatabaseResults) -> None:
        self.store, self.engine, self.now = store, Counting(), 1000.0
        self.limit, self.unasked, self.release = 1 << 20, False, "1"

    async def ask(self, request: TextRequest = ASKED, wanted: bool | None = True, workspace: str = "w") -> Reply:
        self.reuse = Reuse(wanted)
        caller = Caller(workspace=workspace, origin=Origin(reuse=self.reuse))
        self.events = [event async for event in self.inference().generate(caller, request)]
        return fold(self.events)

    def inference(self) -> Inference:
        cache = ResultCache(
            self.store,
            lambda caller, name: inference.model(caller, name),
            limit=self.limit,
            age=100,
            unasked=self.unasked,
            release=self.release,
            clock=lambda: self.now,
        )
        inference = Inference(Models({self.engine.card.name: self.engine}, [("alias", "fake")]), stages=[cache])
        return inference


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with connect(tmp_path / "db") as database:
        yield Lab(DatabaseResults(database))


async def test_a_second_answer_is_the_first_one_again_and_says_so(lab: Lab) -> None:
    first = await lab.ask()
    assert "miss" == lab.reuse.told
    second = await lab.ask()
    assert (1, "hit") == (lab.engine.asked, lab.reuse.told)
    assert replace(first, usage=replace(first.usage, reused=True)) == second
    assert 1 == sum(isinstance(event, TextDelta) for event in lab.events)


@pytest.mark.parametrize(
    "same",
    [
        replace(ASKED, model="alias"),
        replace(ASKED, user="somebody"),
        replace(ASKED, priority="batch"),
        replace(ASKED, workspace="ignored"),
    ],
)
async def test_what_has_no_part_in_an_answer_does_not_count(lab: Lab, same: TextRequest) -> None:
    await lab.ask()
    await lab.ask(same)
    assert 1 == lab.engine.asked


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, max_tokens=63),
        replace(ASKED, messages=(Message("user", (Text("one two four"),)),)),
        replace(ASKED, system=(Text("be brief"),)),
        replace(ASKED, stop=("two",)),
        replace(ASKED, sampling=SamplingRequest(temperature=0, top_p=0.5)),
        replace(ASKED, sampling=SamplingRequest(seed=7)),
        replace(ASKED, extra={"x": 1}),
    ],
)
async def test_what_has_a_part_in_an_answer_counts(lab: Lab, other: TextRequest) -> None:
    await lab.ask()
    await lab.ask(other)
    assert (2, "miss") == (lab.engine.asked, lab.reuse.told)


async def test_another_workspace_gets_its_own_answer(lab: Lab) -> None:
    for workspace in ("w", "x", "w", "x"):
        await lab.ask(workspace=workspace)
    assert 2 == lab.engine.asked


async def test_other_weights_another_precision_and_another_release_compute_anew(lab: Lab) -> None:
    await lab.ask()
    for card in (replace(CARD, created=1), replace(CARD, precision="int4"), replace(CARD, context=2048)):
        asked = lab.engine.asked
        lab.engine = Counting(card)
        lab.engine.asked = asked
        await lab.ask()
    lab.release = "2"
    await lab.ask()
    assert 5 == lab.engine.asked


async def test_only_those_who_want_it_get_a_kept_answer(lab: Lab) -> None:
    for wanted in (True, None, False):
        await lab.ask(wanted=wanted)
    assert (3, None) == (lab.engine.asked, lab.reuse.told)
    lab.unasked = True
    for wanted, told in ((None, "hit"), (True, "hit"), (False, None)):
        await lab.ask(wanted=wanted)
        assert told == lab.reuse.told
    assert 4 == lab.engine.asked


@pytest.mark.parametrize(
    "chance",
    [
        replace(ASKED, sampling=SamplingRequest()),
        replace(ASKED, sampling=SamplingRequest(temperature=0.1)),
        replace(ASKED, messages=(Message("user", (Image(UrlSource("https://a.example/x.png")),)),)),
    ],
)
async def test_what_may_have_another_answer_next_time_is_computed_each_time(lab: Lab, chance: TextRequest) -> None:
    images = replace(CARD.capabilities, images=True)
    lab.engine = Counting(replace(CARD, capabilities=images))
    for _ in range(2):
        await lab.ask(chance)
    assert (2, None) == (lab.engine.asked, lab.reuse.told)


async def test_an_answer_is_given_again_for_its_time_and_no_longer(lab: Lab) -> None:
    await lab.ask()
    lab.now += 100
    await lab.ask()
    assert 1 == lab.engine.asked
    lab.now += 1
    await lab.ask()
    assert 2 == lab.engine.asked


async def test_an_answer_that_failed_or_was_left_is_not_kept(lab: Lab) -> None:
    lab.engine = Counting(script=(Failed("broke"),))
    with pytest.raises(Failed):
        await lab.ask()
    lab.engine = Counting()
    events = lab.inference().generate(Caller(workspace="w", origin=Origin(reuse=Reuse(True))), ASKED)
    await anext(events)
    await events.aclose()
    await lab.ask()
    assert (2, "miss") == (lab.engine.asked, lab.reuse.told)


async def test_an_unknown_model_is_refused_before_anything_is_looked_for(lab: Lab) -> None:
    with pytest.raises(NotFound):
        await lab.ask(replace(ASKED, model="nobody"))
    assert None is lab.reuse.told


async def test_the_store_holds_to_its_limit_and_a_limit_of_nothing_keeps_nothing(lab: Lab) -> None:
    lab.limit = 0
    for _ in range(2):
        await lab.ask()
    assert 2 == lab.engine.asked
    lab.limit = 16  # an answer has more bytes than a part of that
    for _ in range(2):
        await lab.ask()
    assert 4 == lab.engine.asked


async def test_a_line_of_a_batch_is_answered_with_what_was_asked_before(lab: Lab, tmp_path: Path) -> None:
    params = {"model": "fake", "max_tokens": 64, "temperature": 0, "messages": [{"role": "user", "content": "one two"}]}
    await lab.ask(read_message(orjson.dumps(params), "2023-06-01").request)
    body = orjson.dumps({"requests": [{"custom_id": name, "params": params} for name in "ab"]})

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield body

    async with connect(tmp_path / "batches") as database:
        store = DatabaseBatches(database)
        worker = Worker(lab.inference(), store, {ENDPOINT: MessageLines()}, lambda kind: f"{kind}_1")
        batches, caller = Batches(store, worker.wake), Caller(workspace="w")
        worker.start()
        rules = Rules("2023-06-01")
        made = await batches.create(caller, "msgbatch", ENDPOINT, rules, pieces(), BatchReader())
        while (batch := await batches.get(caller, made.id)).live:
            await asyncio.sleep(0.005)
        results = [orjson.loads(each.result) async for each in await batches.results(caller, made.id)]
        await worker.close()
    assert 1 == lab.engine.asked
    assert [True, True] == [result["message"]["usage"]["haiga_reused"] for result in results]
    assert (2, 0) == (batch.counts.succeeded, batch.counts.output_tokens)


async def test_a_kept_answer_costs_nothing(lab: Lab) -> None:
    price = Price(prompt=Decimal(1), completion=Decimal(2))
    used = [(await lab.ask()).usage for _ in range(2)]
    assert [4 + 2 * 3, 0] == [price.of(usage) for usage in used]
    assert [10 * DOLLAR, 0] == [price.cost(usage) for usage in used]


async def test_what_is_kept_and_cannot_be_read_is_computed_again(lab: Lab) -> None:
    await lab.ask()

    class Broken(DatabaseResults):
        async def find(self, workspace: str, digest: str, since: int, now: int) -> bytes | None:
            return b"other bytes"

    lab.store = Broken(lab.store._engine)
    await lab.ask()
    assert (2, "miss") == (lab.engine.asked, lab.reuse.told)
