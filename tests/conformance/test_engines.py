"""What every Engine does, whoever runs the model behind it. An engine joins by a line in ENGINES."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest

from haiga.core.errors import Dead, Invalid
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    Progress,
    Reply,
    SamplingRequest,
    Started,
    TextDelta,
    TextRequest,
    ThinkingDelta,
    fold,
)
from haiga.core.messages import Message, Text, Thinking, text_of
from haiga.core.ports import Engine
from haiga.engines.fake import FakeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.starter import text_path

# Each makes an engine that is not started and whose model answers ASK with several tokens of text.
ENGINES: Mapping[str, Callable[[], Engine]] = {"fake": FakeEngine, "native": lambda: starter()}
ASK = TextRequest(
    model="any",
    messages=(Message("user", (Text("Tell me of the old pond and of the frog that jumps into it."),)),),
    max_tokens=12,
    sampling=SamplingRequest(temperature=0.0),
)


def starter() -> Engine:
    return open_engine(Found.at("starter", text_path(), created=0), NativeOptions(kv_memory=64 << 20, context=2048))


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    engine = ENGINES[request.param]()
    await engine.start()
    yield engine
    await engine.close()


def asking(text: str, **fields: Any) -> TextRequest:
    return replace(ASK, messages=(Message("user", (Text(text),)),), **fields)


def answering(engine: Engine, request: TextRequest) -> AsyncGenerator[Event, None]:
    """The iterator, which by the seam's word can be closed."""
    return cast(AsyncGenerator[Event, None], engine.generate(request))


async def events_of(engine: Engine, request: TextRequest) -> list[Event]:
    async with aclosing(answering(engine, request)) as events:
        return [event async for event in events]


async def answer(engine: Engine, request: TextRequest = ASK) -> Reply:
    return fold(await events_of(engine, request))


def longest(engine: Engine) -> TextRequest:
    """A prompt over the model's context."""
    return asking("frog " * (engine.card.context + 1))


async def test_the_events_come_in_the_order_that_core_draws(engine: Engine):
    first, *middle, last = await events_of(engine, ASK)
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    content = [event for event in middle if not isinstance(event, Progress)]
    open_block, following = None, 0
    for event in content:
        assert not isinstance(event, Started | Finished)
        if isinstance(event, BlockStarted):
            assert (None, following) == (open_block, event.index)
            open_block, following = event.index, following + 1
        else:
            assert open_block == event.index
            open_block = None if isinstance(event, BlockStopped) else open_block
    assert open_block is None


async def test_the_count_is_the_prompt_that_is_billed_from_first_to_last(engine: Engine):
    counted = await engine.count(ASK)
    first, *_, last = await events_of(engine, ASK)
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    assert (counted, counted) == (first.usage.prompt, last.usage.prompt)


async def test_a_longer_prompt_counts_more(engine: Engine):
    assert await engine.count(ASK) < await engine.count(replace(ASK, system=(Text("You are a poet of few words."),)))


async def test_an_answer_ends_at_max_tokens(engine: Engine):
    reply = await answer(engine, replace(ASK, max_tokens=3))
    assert ("max_tokens", 3) == (reply.stop, reply.usage.output)
    assert (await answer(engine)).usage.output <= ASK.max_tokens


async def test_no_tokens_asked_gives_no_content(engine: Engine):
    reply = await answer(engine, replace(ASK, max_tokens=0))
    assert ("max_tokens", (), 0) == (reply.stop, reply.content, reply.usage.output)


async def test_a_stop_string_ends_the_answer_and_is_never_part_of_it(engine: Engine):
    text = text_of((await answer(engine)).content)
    stop = text[len(text) // 2 :][:3]
    reply = await answer(engine, replace(ASK, stop=("never said", stop)))
    assert ("stop_sequence", stop) == (reply.stop, reply.sequence)
    assert text[: text.index(stop)] == text_of(reply.content)


async def test_a_greedy_answer_is_the_same_every_time_and_in_company(engine: Engine):
    alone = (await answer(engine)).content
    one, other = answering(engine, ASK), answering(engine, ASK)
    together: tuple[list[Event], list[Event]] = ([], [])
    async with aclosing(one), aclosing(other):
        async for event in one:
            together[0].append(event)
            together[1].append(await anext(other))
    assert [alone, alone] == [fold(events).content for events in together]


async def test_closing_the_iterator_ends_the_request(engine: Engine):
    events = answering(engine, ASK)
    while not isinstance(await anext(events), TextDelta):
        pass
    assert 1 == engine.busy
    await events.aclose()
    assert 0 == engine.busy


async def test_a_prompt_over_the_context_is_refused_in_the_apis_words(engine: Engine):
    with pytest.raises(Invalid, match=r"prompt is too long: \d+ tokens > \d+ maximum"):
        await answer(engine, longest(engine))
    assert 0 == engine.busy


async def test_prompt_and_answer_over_the_context_are_refused_or_stop_there(engine: Engine):
    wide = replace(ASK, max_tokens=engine.card.context)
    with pytest.raises(Invalid, match="input length and `max_tokens` exceed context limit"):
        await answer(engine, wide)
    used = (await answer(engine, replace(wide, overflow="stop"))).usage
    assert used.prompt + used.output <= engine.card.context


async def test_what_is_under_way_when_the_engine_closes_ends_with_dead(engine: Engine):
    events = answering(engine, replace(ASK, max_tokens=12))
    assert isinstance(await anext(events), Started)
    await engine.close()
    with pytest.raises(Dead):
        async for _ in events:
            pass
    assert 0 == engine.busy


async def test_a_closed_engine_can_be_started_again(engine: Engine):
    before = (await answer(engine)).content
    await engine.close()
    await engine.start()
    assert before == (await answer(engine)).content


async def test_the_fake_engine_counts_thoughts_apart() -> None:
    script = (BlockStarted(0, Thinking("", "")), ThinkingDelta(0, "so it is"), BlockStopped(0))
    usage = (await answer(FakeEngine(script=script))).usage
    assert (3, 3) == (usage.output, usage.thinking)
