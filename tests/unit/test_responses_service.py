"""Answers in the background: whatever ends them, they have an end that is kept and told."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import count
from pathlib import Path
from threading import Event as Gate
from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.access import Caller
from haiga.core.errors import Busy, Dead, Failed, Invalid
from haiga.core.generation import BlockStarted, Event, TextDelta, TextRequest
from haiga.core.messages import Message, Text
from haiga.core.responses import KeptResponse
from haiga.engines.fake import FakeEngine, Step
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses, Run
from haiga.services.responses.service import STOPPED
from haiga.stores.connect import connect
from haiga.stores.responses import DatabaseResponses
from tests.unit.wire.openai_responses.told import frames, kinds, writer
from tests.wire.responses_server import GatedEngine

CALLER = Caller(workspace="w")
NUMBERS = count(1)
HALF: tuple[Step, ...] = (BlockStarted(0, Text("")), TextDelta(0, "Hal"))


class Raising(FakeEngine):
    """An engine with a defect."""

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        async for event in super().generate(request):
            yield event
            raise RuntimeError("a defect")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DatabaseResponses]:
    async with connect(tmp_path / "db") as database:
        yield DatabaseResponses(database)


def responses(store: DatabaseResponses, engine: FakeEngine) -> Responses:
    return Responses(Inference(Models({"fake": engine})), store, clock=lambda: 1000.0)


def run(**fields: Any) -> Run:
    request = TextRequest("fake", (Message("user", (Text("one two"),)),), 9, overflow="stop")
    made = writer(background=True)
    defaults = {"kept": True, "background": True, "followed": True}
    return Run(f"resp_{next(NUMBERS)}", CALLER, request, made, [{"id": "msg_1"}], 1000, **{**defaults, **fields})


async def told(service: Responses, id: str, after: int | None = None) -> list[dict[str, Any]]:
    return [event async for frame in await service.frames(CALLER, id, after) for event in frames(frame)]


async def ended(service: Responses, id: str) -> KeptResponse:
    """The response once its stream is over, which says the same as what is kept."""
    said = await told(service, id)
    kept = await service.get(CALLER, id)
    assert kept.body == said[-1]["response"]
    assert list(range(len(said))) == [event["sequence_number"] for event in said]
    assert said == await told(service, id)
    return kept


async def test_an_answer_is_made_while_nobody_waits(store: DatabaseResponses) -> None:
    service, made = responses(store, FakeEngine()), run()
    await service.launch(made)
    kept = await ended(service, made.id)
    assert ("completed", "one two") == (kept.status, kept.body["output"][0]["content"][0]["text"])
    assert [{"id": "msg_1"}] == await service.input(CALLER, made.id)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (FakeEngine(script=(*HALF, Dead("the engine died"))), "the engine died"),
        (FakeEngine(script=(Failed("at once"),)), "at once"),
        (Raising(), "Internal server error"),
    ],
)
async def test_every_failure_is_kept_and_told(store: DatabaseResponses, engine: FakeEngine, message: str) -> None:
    service, made = responses(store, engine), run()
    await service.launch(made)
    kept = await ended(service, made.id)
    assert ("failed", message) == (kept.status, kept.body["error"]["message"])
    assert ["error", "failed"] == kinds(await told(service, made.id))[-2:]


async def test_what_is_under_way_when_the_server_stops_is_kept_as_failed(store: DatabaseResponses) -> None:
    engine = FakeEngine(script=(*HALF, 30.0))
    service, under_way, not_begun = responses(store, engine), run(), run()
    await service.launch(under_way)
    while not under_way.frames[3:]:
        await asyncio.sleep(0)
    await service.launch(not_begun)
    await service.close()
    for made in (under_way, not_begun):
        kept = await ended(responses(store, engine), made.id)
        assert ("failed", STOPPED) == (kept.status, kept.body["error"]["message"])
    assert 0 == engine.busy


async def test_another_process_leaves_alone_what_is_under_way_here_and_fails_what_nobody_vouches_for(
    store: DatabaseResponses,
) -> None:
    engine, now = FakeEngine(script=(*HALF, 30.0)), [1000.0]

    def process() -> Responses:
        return Responses(Inference(Models({"fake": engine})), store, clock=lambda: now[0], lease=0.03)

    here, there, made = process(), process(), run()
    here.start()
    there.start()
    await here.launch(made)
    while not made.frames[3:]:
        await asyncio.sleep(0)
    now[0] = 1000.99
    while (await there.get(CALLER, made.id)).lease != 1002:
        await asyncio.sleep(0.01)
    now[0] = 1001.5
    assert (await there.get(CALLER, made.id)).live
    with pytest.raises(Invalid, match="made by another process"):
        await there.frames(CALLER, made.id, None)
    for end in (there.cancel, there.delete):
        with pytest.raises(Busy, match="made by another server"):
            await end(CALLER, made.id)
    assert here._watching is not None
    here._watching.cancel()  # as if the process were gone
    now[0] += 5
    while (await store.get("w", made.id, 1000)).status != "failed":  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
    await there.close()
    await here.close()


async def test_those_who_follow_see_every_frame_and_the_end(store: DatabaseResponses) -> None:
    service, made = responses(store, FakeEngine(pace=0.001)), run()
    await service.launch(made)
    followers = [asyncio.create_task(told(service, made.id, after)) for after in (None, 0, 3)]
    whole, *late = await asyncio.gather(*followers)
    assert [whole[1:], whole[4:]] == late
    assert "completed" == kinds(whole)[-1]


class SlowReads(DatabaseResponses):
    """What is read is handed over only when it is allowed to, and is old by then."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.was_read, self.go_on = asyncio.Event(), asyncio.Event()

    async def get(self, workspace: str, id: str, now: int) -> KeptResponse | None:
        found = await super().get(workspace, id, now)
        self.was_read.set()
        await self.go_on.wait()
        return found


async def test_one_that_ends_while_it_is_looked_up_is_not_taken_for_lost(tmp_path: Path) -> None:
    engine = GatedEngine()
    engine.gate = Gate()
    async with connect(tmp_path / "db") as database:
        store, made = SlowReads(database), run()
        service = responses(store, engine)
        await service.launch(made)
        looking = asyncio.create_task(service.get(CALLER, made.id))
        await store.was_read.wait()
        assert "completed" != made.transcript.status
        engine.gate.set()
        while not made.over:
            await asyncio.sleep(0.001)
        store.go_on.set()
        seen = await looking
        assert ("completed", tuple(made.frames)) == (seen.status, seen.frames)
        assert "completed" == (await service.get(CALLER, made.id)).status


async def test_cancelling_tells_those_who_follow(store: DatabaseResponses) -> None:
    engine = FakeEngine(script=(*HALF, 30.0))
    service, made = responses(store, engine), run()
    await service.launch(made)
    while not made.frames[5:]:
        await asyncio.sleep(0)
    follower = asyncio.create_task(told(service, made.id))
    await asyncio.sleep(0)
    both = await asyncio.gather(service.cancel(CALLER, made.id), service.cancel(CALLER, made.id))
    assert ["cancelled"] * 2 == [kept.status for kept in both]
    assert ["output_item.done", "cancelled"] == kinds(await follower)[-2:]
    assert 0 == engine.busy
    assert "Hal" == (await ended(service, made.id)).body["output"][0]["content"][0]["text"]


async def test_a_failure_before_anyone_was_told_anything_is_raised(store: DatabaseResponses) -> None:
    service, made = responses(store, FakeEngine()), run(background=False)
    made.request = TextRequest("fake", (Message("user", (Text("w " * 5000),)),), 9, overflow="stop")
    with pytest.raises(Invalid, match="prompt is too long"):
        await anext(service.answer(made))
    assert await store.get("w", made.id, 1000) is None


async def test_an_answer_is_kept_before_its_last_step_is_told(store: DatabaseResponses) -> None:
    service, made = responses(store, FakeEngine()), run(background=False)
    async for step in service.answer(made):
        last = [orjson.loads(frame.split(b"data: ")[1])["type"] for frame in step.frames][-1:]
        kept = await store.get("w", made.id, 1000)
        assert (kept is not None) == (last == ["response.completed"])
    assert kept is not None and kept.frames == tuple(made.frames)
