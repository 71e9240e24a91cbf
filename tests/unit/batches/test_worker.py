"""The worker: whatever an engine or the store does, every line gets its result, and computed once is enough."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from haiga.core.access import Caller
from haiga.core.errors import Busy, Dead, HaigaError
from haiga.core.generation import Event, TextRequest
from haiga.core.hours import DAY, Hours, parse_window
from haiga.core.jobs import Outcome, Rules
from haiga.core.messages import text_of
from haiga.engines.fake import FakeEngine
from haiga.services.batches import Batches, Worker, worker
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.stores.batches import DatabaseBatches
from haiga.stores.connect import connect
from haiga.wire.anthropic.batches import ENDPOINT, BatchReader, MessageLines


class Fragile(FakeEngine):
    """Dies, and whatever it runs with it, when it is asked for poison; refuses as often as it is told to."""

    def __init__(self, refusals: Sequence[Exception] = ()) -> None:
        super().__init__(pace=0.001)
        self.refusals = list(refusals)
        self.begun: list[str] = []
        self.widest = 0
        self._lives = 0

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        text = text_of(request.messages[-1].content)
        self.begun.append(text)
        if self.refusals:
            raise self.refusals.pop()
        life = self._lives
        async for event in super().generate(request):
            self.widest = max(self.widest, self.busy)
            if "poison" in text:
                await asyncio.sleep(0.01)
                self._lives += 1
            if life != self._lives:
                raise Dead("the engine stopped unexpectedly")
            yield event


class Failing(DatabaseBatches):
    """A store that cannot keep results at first."""

    failures = 3

    async def finish(self, worker: str, outcomes: Sequence[Outcome], now: int) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no space left on device")
        await super().finish(worker, outcomes, now)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE", 0.005)


@asynccontextmanager
async def working(
    directory: Path,
    engine: FakeEngine,
    width: int = 8,
    store: type[DatabaseBatches] = DatabaseBatches,
    **more: Any,
) -> AsyncIterator[Batches]:
    async with connect(directory / "db") as database:
        inference = Inference(Models({"fake": engine}))
        running = Worker(
            inference,
            store(database),
            {ENDPOINT: MessageLines()},
            lambda kind: f"{kind}_1",
            width=width,
            lease=1,
            **more,
        )
        running.start()
        yield Batches(store(database), running.wake)
        await running.close()


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def answers(batches: Batches, *texts: str, **more: Any) -> list[str]:
    """What each line says, or its error."""
    requests = [
        {
            "custom_id": f"c{i}",
            "params": {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": text}], **more},
        }
        for i, text in enumerate(texts)
    ]
    body = orjson.dumps({"requests": requests})
    rules = Rules("2023-06-01")
    batch = await batches.create(Caller(), "msgbatch", ENDPOINT, rules, pieces(body), BatchReader())
    async with asyncio.timeout(30):
        while (batch := await batches.get(Caller(), batch.id)).live:
            await asyncio.sleep(0.005)
    results = [orjson.loads(each.result) async for each in await batches.results(Caller(), batch.id)]
    return [
        result["message"]["content"][0]["text"]
        if result["type"] == "succeeded"
        else result["error"]["error"]["message"]
        for result in results
    ]


async def test_a_line_that_kills_the_engine_fails_alone(tmp_path: Path) -> None:
    texts = [*(f"word {i}" for i in range(5)), "poison", *(f"word {i}" for i in range(5, 20))]
    async with working(tmp_path, Fragile()) as batches:
        told = await answers(batches, *texts)
    assert ["the engine stopped unexpectedly" if text == "poison" else text for text in texts] == told


@pytest.mark.parametrize("refusal", [Busy("full", retry_after=0.01), Dead("gone")])
async def test_refusals_are_waited_out(tmp_path: Path, refusal: HaigaError) -> None:
    async with working(tmp_path, Fragile([refusal] * 6)) as batches:
        assert ["a", "b"] == await answers(batches, "a", "b")


async def test_what_nobody_expected_is_the_line_s_own_failure(tmp_path: Path) -> None:
    async with working(tmp_path, Fragile([ValueError("x")]), width=1) as batches:
        assert ["Internal server error", "b"] == sorted(await answers(batches, "b", "b"))


async def test_lines_begin_within_their_hours_alone(tmp_path: Path) -> None:
    engine, now = Fragile(), [DAY * 60 * 1000.0]
    late = Hours((parse_window("22:00-06:00"),), UTC)
    counting = {"looks": 0}

    def clock() -> float:
        counting["looks"] += 1
        return now[0]

    now[0] += 12 * 3600
    async with working(tmp_path, engine, hours=late, clock=clock) as batches:
        answered = asyncio.create_task(answers(batches, "a", "b", temperature=1))
        while counting["looks"] < 20:
            await asyncio.sleep(0.005)
        assert [] == engine.begun
        now[0] += 12 * 3600
        assert ["a", "b"] == await answered


async def test_results_outlast_a_store_that_cannot_keep_them(tmp_path: Path) -> None:
    engine = Fragile()
    async with working(tmp_path, engine, store=Failing) as batches:
        assert ["a", "b", "c"] == await answers(batches, "a", "b", "c")
    assert ["a", "b", "c"] == sorted(engine.begun)


async def test_lines_that_share_a_prefix_run_next_to_each_other(tmp_path: Path) -> None:
    engine, shared = Fragile(), ["x" * 300, "y" * 300, "z" * 300]
    texts = [f"{shared[i % 3]} {i}" for i in range(12)]
    async with working(tmp_path, engine, width=1) as batches:
        await answers(batches, *texts)
    first = [text[0] for text in engine.begun]
    assert 3 == 1 + sum(one != other for one, other in pairwise(first))


async def test_no_more_lines_than_the_width_are_under_way(tmp_path: Path) -> None:
    engine = Fragile()
    async with working(tmp_path, engine, width=3) as batches:
        await answers(batches, *(f"some words {i}" for i in range(12)))
    assert 3 == engine.widest


async def test_a_worker_that_stops_gives_its_lines_back_at_once(tmp_path: Path) -> None:
    slow = FakeEngine(pace=30)
    async with working(tmp_path, slow) as batches:
        waiting = asyncio.create_task(answers(batches, "a", "b"))
        while slow.busy < 2:
            await asyncio.sleep(0.005)
        waiting.cancel()
    async with connect(tmp_path / "db") as database:
        assert [1, 1] == [line.tries for line in await DatabaseBatches(database).claim("x", 1, 9, suspects=False)]
