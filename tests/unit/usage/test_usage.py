"""What requests used: recorded whatever happens, written once, added up right."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from haiga.core.access import Caller, Origin
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Failed, HaigaError, Invalid, Limited, NotFound
from haiga.core.generation import Event, Finished, Started, TextDelta, TextRequest, Usage
from haiga.core.messages import Message, Text
from haiga.core.records import Cost, Price, Question, Record
from haiga.services.prices import read_prices
from haiga.services.usage import Ledger, Recorder, ledger
from haiga.stores.connect import connect
from haiga.stores.usage import DatabaseUsage

PRICE = Price(Decimal("0.000001"), Decimal("0.000005"), Decimal("0.0000001"), Decimal("0.00000125"))
ASKED = TextRequest("alias", (Message("user", (Text("a secret"),)),), max_tokens=9, user="ann" * 200)
PROMPT = Usage(input=10, creation_5m=100, cache_read=1000)
BY = Caller("key_1", "team", origin=Origin("req_1", "openai", "/v1/chat/completions", agent="SDK"))
RECORD = Record(60, "team", "m", key="key_1", usage=Usage(1, 2, 3, 4, 5, 6), cost=Cost(10, 20, 30, 40, 50))


class Recorded:
    """A recorder, what it has recorded, and a clock that ticks a second each time it is looked at."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now = 99.0
        self.recorder = Recorder(self.records.append, self.named, self.clock)

    def named(self, caller: Caller, name: str) -> tuple[str, Price]:
        if name == "nobody":
            raise NotFound("model: nobody")
        return "model", PRICE

    def clock(self) -> float:
        self.now += 1
        return self.now

    async def of(
        self, request: TextRequest = ASKED, *, by: Caller = BY, fails: HaigaError | None = None, read: int = 99
    ) -> Record:
        async def model(caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
            if isinstance(fails, Limited):
                raise fails
            yield Started(PROMPT)
            yield TextDelta(0, "a")
            yield TextDelta(0, "b")
            if fails:
                raise fails
            yield Finished("max_tokens", replace(PROMPT, output=20, thinking=3), compacted=None)

        with suppress(HaigaError):
            async with aclosing(self.recorder.answer(by, request, model)) as events:
                async for _ in events:
                    read -= 1
                    if not read:
                        break
        (record,) = self.records
        return record


# --- one record ---


async def test_an_answer_is_recorded_with_who_what_how_long_and_how_much() -> None:
    record = await Recorded().of()
    assert ("team", "key_1", "model", "alias") == (record.workspace, record.key, record.model, record.asked_for)
    assert ("req_1", "openai", "/v1/chat/completions", "SDK") == (
        record.request_id, record.family, record.endpoint, record.agent
    )  # fmt: skip
    assert ("succeeded", "max_tokens", "standard", 1) == (record.outcome, record.stop, record.tier, record.requests)
    assert (100, 1.0, 2.0) == (record.created_at, record.latency, record.duration)
    assert replace(PROMPT, output=20, thinking=3) == record.usage
    assert Cost(10_000, 125_000, 0, 100_000, 100_000) == record.cost
    assert 900_000 - 25_000 == record.discount


async def test_nothing_that_was_said_is_recorded_and_names_are_cut() -> None:
    record = await Recorded().of()
    assert "secret" not in repr(record)
    assert 255 == len(record.user or "")


async def test_a_record_is_there_before_the_end_of_its_answer_is_told() -> None:
    recorded = Recorded()
    assert "succeeded" == (await recorded.of(read=4)).outcome


async def test_an_answer_that_failed_or_was_closed_is_recorded_with_what_it_had_used() -> None:
    failed, closed = await Recorded().of(fails=Failed("no")), await Recorded().of(read=2)
    for record, outcome in ((failed, "failed"), (closed, "cancelled")):
        assert (outcome, None) == (record.outcome, record.stop)
        assert replace(PROMPT, output=record.usage.output) == record.usage
    assert (2, 1) == (failed.usage.output, closed.usage.output)


async def test_a_request_that_was_refused_is_recorded_and_cost_nothing() -> None:
    record = await Recorded().of(fails=Limited("slow", retry_after=1))
    assert ("limited", None, Usage(), 0) == (record.outcome, record.latency, record.usage, record.cost.total)
    assert "nobody" == (await Recorded().of(replace(ASKED, model="nobody"))).model


async def test_a_batch_costs_its_share() -> None:
    record = await Recorded().of(replace(ASKED, priority="batch"))
    assert ("batch", 335_000 // 2) == (record.tier, record.cost.total)


async def test_another_answer_to_a_prompt_is_no_other_request_and_does_not_use_it_again() -> None:
    record = await Recorded().of(by=replace(BY, origin=replace(BY.origin, again=True)))
    assert (0, Usage(output=20, thinking=3), 100_000) == (record.requests, record.usage, record.cost.total)


async def test_embeddings_are_recorded() -> None:
    async def vectors(caller: Caller, request: EmbeddingRequest) -> Embeddings:
        if request.inputs == ("bad",):
            raise Invalid("no")
        return Embeddings((), 7)

    recorded = Recorded()
    await recorded.recorder.embed(BY, EmbeddingRequest("alias", ("text",)), vectors)
    with pytest.raises(Invalid):
        await recorded.recorder.embed(BY, EmbeddingRequest("alias", ("bad",)), vectors)
    assert [("succeeded", 7), ("invalid", 0)] == [(each.outcome, each.usage.input) for each in recorded.records]


# --- on the way to the disk ---


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DatabaseUsage]:
    async with connect(tmp_path / "haiga.db") as database:
        yield DatabaseUsage(database)


class Shaky:
    """A store that cannot be written so often."""

    def __init__(self, store: DatabaseUsage, failures: int) -> None:
        self._store, self.failures = store, failures

    async def write(self, records: Sequence[Record]) -> None:
        if self.failures:
            self.failures -= 1
            raise Failed("the disk is full")
        await self._store.write(records)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


WHOLE = Question(0, 10**9)


async def test_what_was_recorded_is_there_for_whoever_asks_and_after_a_shutdown(store: DatabaseUsage) -> None:
    held = Ledger(store)
    held.start()
    for at in range(1200):
        held.add(replace(RECORD, created_at=at))
    assert 1200 == (await held.totals(WHOLE))[0].requests
    held.add(RECORD)
    await held.close()
    assert 1201 == (await store.totals(WHOLE))[0].requests


async def test_a_store_that_fails_for_a_while_loses_nothing_and_doubles_nothing(store: DatabaseUsage) -> None:
    held = Ledger(Shaky(store, failures=3))  # type: ignore[arg-type]
    held.start()
    for at in range(600):
        held.add(replace(RECORD, created_at=at))
    await asyncio.sleep(0)
    await held.close()
    assert 600 == (await store.totals(WHOLE))[0].requests


async def test_memory_is_bounded_while_nothing_can_be_written(
    store: DatabaseUsage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST", 10)
    held = Ledger(store)
    for at in range(15):
        held.add(replace(RECORD, created_at=at))
    await held.close()
    assert 10 == (await store.totals(WHOLE))[0].requests


async def test_whoever_asks_and_goes_away_does_not_double_what_is_written(store: DatabaseUsage) -> None:
    held = Ledger(store)
    held.add(RECORD)
    asking = asyncio.ensure_future(held.totals(WHOLE))
    await asyncio.sleep(0)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await held.close()
    assert 1 == (await store.totals(WHOLE))[0].requests


async def test_what_is_older_than_is_kept_is_forgotten(store: DatabaseUsage) -> None:
    await store.write([replace(RECORD, created_at=at) for at in (100, 200, 300)])
    held = Ledger(store, keep=100, clock=lambda: 300.0)
    held.start()
    held.add(replace(RECORD, created_at=300))
    for _ in range(200):
        await asyncio.sleep(0.005)
        if (left := (await store.totals(WHOLE))[0].requests) == 3:
            break
    await held.close()
    assert 3 == left


# --- prices ---


def prices(tmp_path: Path, text: str) -> Path:
    (tmp_path / "prices.toml").write_text(text)
    return tmp_path / "prices.toml"


def test_prices_are_by_name_or_pattern(tmp_path: Path) -> None:
    found = read_prices(
        prices(
            tmp_path,
            '[models."qwen*"]\ninput = 0.8\noutput = 4\ncache_read = 0.08\nbatch = 0.25\n[models.qwen-1]\ninput = 2\n',
        )
    )
    assert (
        Price(Decimal("0.0000008"), Decimal("0.000004"), Decimal("0.00000008"), batch=Decimal("0.25"))
        == found["qwen-2"]
    )
    assert Price(Decimal("0.000002")) == found["qwen-1"]
    assert None is found.get("other")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", "prices.toml: "),
        ("[models.a]\ninput = -1", "models.a.input: expected a number from 0"),
        ("[models.a]\ninput = nan", "models.a.input: expected a number"),
        ("[models.a]\ninput = true", "models.a.input: expected a number"),
        ("[models.a]\nprompt = 1", "models.a: unknown field prompt; known are"),
        ("batch = 2", "batch: expected a number from 0 to 1"),
        ("models = 3", "models: expected a table"),
        ("[models]\na = 3", "models.a: expected a table"),
    ],
)
def test_a_file_of_prices_that_is_wrong_is_named_with_the_field(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(Invalid) as wrong:
        read_prices(prices(tmp_path, text))
    assert problem in str(wrong.value) and "prices.toml" in str(wrong.value)
