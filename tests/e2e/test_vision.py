"""Pictures through an engine process: seen once, found in the cache, kept apart, forgotten when aborted."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from haiga.core.generation import Reply, SamplingRequest, TextRequest
from haiga.core.messages import CacheMark, Image, Message, Text, text_of
from haiga.core.pictures import Picture
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from tests.e2e.test_engine_process import answer, until
from tests.pictured import make_pictured, random_picture

ONE, TWO = random_picture(61, 40, 1), random_picture(61, 40, 2)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictured(tmp_path_factory.mktemp("tiny"), "smolvlm")


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[NativeEngine]:
    engine = open_engine(Found.at("tiny", directory, created=0), NativeOptions(context=1024))
    await engine.start()
    yield engine
    await engine.close()


def ask(*said: Picture | str, workspace: str = "a", cache: CacheMark | None = None) -> TextRequest:
    blocks = tuple(Image(each, cache) if isinstance(each, Picture) else Text(each) for each in said)
    messages, greedy = (Message("user", blocks),), SamplingRequest(temperature=0)
    return TextRequest("tiny", messages, 8, sampling=greedy, overflow="stop", workspace=workspace)


def prompt(reply: Reply) -> int:
    used = reply.usage
    return used.input + used.cache_read + used.creation_5m + used.creation_1h


async def test_what_a_picture_costs_is_counted_exactly_and_once(engine: NativeEngine) -> None:
    assert engine.card.capabilities.images
    request = ask(ONE, "What is this?", cache=CacheMark())
    counted = await engine.count(request)
    cold = await answer(engine, request)
    warm = await answer(engine, ask(ONE, "What is this? And that?"))
    assert counted == prompt(cold)
    assert 0 == cold.usage.cache_read
    picture = await engine.count(ask(ONE, "")) // 32 * 32
    assert picture <= warm.usage.cache_read + 32
    assert 0 < cold.usage.creation_5m <= warm.usage.cache_read


async def test_another_picture_of_the_same_size_is_another_prompt(engine: NativeEngine) -> None:
    first = await answer(engine, ask(ONE, "What is this?"))
    second = await answer(engine, ask(TWO, "What is this?"))
    assert prompt(first) == prompt(second)
    assert 32 > second.usage.cache_read
    assert text_of(first.content) != text_of(second.content)


async def test_a_cached_picture_gives_the_same_answer(engine: NativeEngine) -> None:
    replies = [await answer(engine, ask(ONE, TWO, "Compare")) for _ in range(2)]
    assert replies[0].content == replies[1].content
    assert 64 < replies[1].usage.cache_read


async def test_workspaces_do_not_share_pictures(engine: NativeEngine) -> None:
    await answer(engine, ask(ONE, "Look"))
    other = await answer(engine, ask(ONE, "Look", workspace="b"))
    assert 0 == other.usage.cache_read


async def test_a_request_that_goes_away_while_its_picture_is_read_leaves_nothing(engine: NativeEngine) -> None:
    large = replace(ask(random_picture(640, 640, 3), "What is this?"), max_tokens=400)  # longer than between two looks
    for _ in range(3):
        going = asyncio.create_task(answer(engine, large))
        await until(lambda: engine.process.in_flight)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    reply = await answer(engine, ask(ONE, "Still there?"))
    assert 8 >= reply.usage.output
    assert 0 == engine.process.in_flight
