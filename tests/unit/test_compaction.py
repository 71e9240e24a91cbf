"""A conversation that has grown too long goes on from the model's own summary of it."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from haiga.core.edits import Compact
from haiga.core.errors import Invalid
from haiga.core.generation import (
    BlockStarted,
    Event,
    Reply,
    Started,
    TextDelta,
    TextRequest,
    Usage,
    fold,
)
from haiga.core.messages import COMPACTION, CacheMark, Message, Opaque, Text, Thinking, ToolResult, ToolUse, text_of
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.compaction import INSTRUCTIONS, RESUMED, answer, resumed

SAYS = "<summary>what matters</summary>"  # the fake engine says what it is told


class Remembering(FakeEngine):
    """Echoes, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(CARD)
        self.asked: list[TextRequest] = []

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        async for event in super().generate(request):
            yield event


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def summary(content: str | None, **more: Any) -> Opaque:
    return Opaque(COMPACTION, extra={"content": content}, **more)


TALK = (user("one two three"), Message("assistant", (Text("four"),)), user("and five"))


def asking(over: int, instructions: str | None = SAYS, pause: bool = False) -> TextRequest:
    return TextRequest("fake", TALK, 9, stop=("never",), edits=(Compact(over, instructions, pause),))


async def events_of(engine: FakeEngine, request: TextRequest) -> list[Event]:
    return [event async for event in answer(engine, request)]


async def reply(engine: FakeEngine, request: TextRequest) -> Reply:
    return fold(await events_of(engine, request))


async def test_up_to_the_trigger_the_answer_is_what_it_would_be() -> None:
    engine = Remembering()
    request = asking(await engine.count(asking(1)))
    assert (request, [request]) == (engine.asked[-1] if await events_of(engine, request) else None, engine.asked)
    assert None is (await reply(engine, request)).compacted


async def test_over_it_a_summary_comes_first_and_the_answer_goes_on_from_it_and_what_was_said_last() -> None:
    engine = Remembering()
    whole = await reply(engine, asking(8))
    assert (summary("what matters"), Text("and five")) == whole.content
    first, second = engine.asked
    assert (*TALK, user(SAYS)) == first.messages
    assert (user(RESUMED + "what matters"), TALK[-1]) == second.messages
    assert (("never",), ()) == (second.stop, first.stop)


async def test_what_the_summary_used_is_told_apart() -> None:
    engine = Remembering()
    whole = await reply(engine, asking(8))
    first, second = engine.asked
    assert Usage(input=await engine.count(second), output=2) == whole.usage
    assert Usage(input=await engine.count(first), output=2) == whole.compacted


async def test_the_stream_is_in_order() -> None:
    events = await events_of(Remembering(), asking(8))
    assert [True] + [False] * (len(events) - 1) == [isinstance(event, Started) for event in events]
    assert [0, 1] == [event.index for event in events if isinstance(event, BlockStarted)]
    assert [1, 1] == [event.index for event in events if isinstance(event, TextDelta)]


async def test_a_pause_ends_the_answer_with_the_summary() -> None:
    whole = await reply(Remembering(), asking(8, pause=True))
    assert ((summary("what matters"),), "compaction", Usage()) == (whole.content, whole.stop, whole.usage)


async def test_without_a_summary_the_conversation_goes_on_as_it_is() -> None:
    engine = Remembering()
    whole = await reply(engine, asking(8, "<summary> </summary>"))
    assert (summary(None), Text("and five")) == whole.content
    assert TALK == engine.asked[-1].messages


async def test_text_without_tags_is_the_summary() -> None:
    assert summary("short") == (await reply(Remembering(), asking(8, "short"))).content[0]
    assert summary("cut off") == (await reply(Remembering(), asking(8, "<summary>cut off"))).content[0]


async def test_the_servers_own_words_are_there_when_the_caller_has_none() -> None:
    engine = Remembering()
    await reply(engine, asking(8, None))
    assert INSTRUCTIONS == text_of(engine.asked[0].messages[-1].content)


async def test_a_prompt_that_only_warms_the_cache_is_not_summed_up() -> None:
    engine = Remembering()
    await reply(engine, replace(asking(8), max_tokens=0))
    assert 1 == len(engine.asked)


def test_a_summary_stands_for_all_that_came_before_it() -> None:
    answered = Message("assistant", (Text("lost"), summary("old"), Text("then"), summary("new"), Text("now")))
    request = TextRequest("fake", (*TALK, answered, user("go on")), 9)
    expected = (user(RESUMED + "new"), Message("assistant", (Text("now"),)), user("go on"))
    assert expected == resumed(request).messages


def test_a_summary_alone_is_followed_by_what_the_user_says_next() -> None:
    marked = Message("assistant", (summary("new", cache=CacheMark()),))
    expected = Message("user", (Text(RESUMED + "new", cache=CacheMark()),))
    assert (expected,) == resumed(TextRequest("fake", (*TALK, marked), 9)).messages
    assert (expected, user("and")) == resumed(TextRequest("fake", (*TALK, marked, user("and")), 9)).messages


def test_calls_after_a_summary_keep_their_results() -> None:
    called = Message("assistant", (Thinking("hm"), summary("new"), ToolUse("c1", "look", {})))
    result = Message("user", (ToolResult("c1", (Text("blue"),)),))
    messages = resumed(TextRequest("fake", (*TALK, called, result), 9)).messages
    assert [("user", 1), ("assistant", 1), ("user", 1)] == [(m.role, len(m.content)) for m in messages]
    assert result == messages[-1]


def test_a_summary_that_failed_stands_for_nothing() -> None:
    failed = Message("assistant", (summary(None), Text("four")))
    request = TextRequest("fake", (TALK[0], failed, TALK[2]), 9)
    assert TALK == resumed(request).messages
    with pytest.raises(Invalid, match="at least one message is required"):
        resumed(TextRequest("fake", (Message("assistant", (summary(None),)),), 9))


def test_a_conversation_without_summaries_is_the_very_same() -> None:
    request = asking(1)
    assert resumed(request) is request
