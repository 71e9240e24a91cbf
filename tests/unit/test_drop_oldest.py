"""Fitting a conversation into a context: exact, minimal, and never a result without its call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.core.generation import Dropped, TextRequest
from haiga.core.messages import Message, Text, ToolResult, ToolUse
from haiga.engines.fake import FakeEngine
from haiga.services.packing import drop_oldest

COUNT = FakeEngine().count


def user(words: int) -> Message:
    return Message("user", (Text("w " * (words - 1) + "w"),))


def calls(id: str) -> list[Message]:
    return [
        Message("assistant", (ToolUse(id, "look", {}),)),
        Message("user", (ToolResult(id, (Text("seen that"),)),)),
    ]


def asking(*messages: Message) -> TextRequest:
    return TextRequest("fake", messages, 1, system=(Text("be brief"),))


CONVERSATIONS = st.lists(st.integers(1, 9).map(lambda n: [user(n)]) | st.integers(0, 99).map(lambda n: calls(f"c{n}")))


async def test_a_prompt_that_fits_is_the_very_same() -> None:
    request = asking(user(3), user(4))
    assert (request, Dropped()) == await drop_oldest(request, 11, COUNT)


async def test_the_oldest_go_first_and_the_system_prompt_stays() -> None:
    request = asking(user(3), user(4), user(2))
    assert (asking(user(4), user(2)), Dropped(1)) == await drop_oldest(request, 10, COUNT)
    assert (asking(user(2)), Dropped(2)) == await drop_oldest(request, 9, COUNT)


async def test_a_result_goes_with_its_call() -> None:
    request = asking(user(1), *calls("c1"), user(2))
    assert (asking(user(2)), Dropped(3)) == await drop_oldest(request, await COUNT(request) - 3, COUNT)


async def test_an_answer_goes_with_its_question() -> None:
    answer = Message("assistant", (Text("so so"),))
    request = asking(user(1), answer, user(2))
    assert (asking(user(2)), Dropped(2)) == await drop_oldest(request, await COUNT(request) - 1, COUNT)


async def test_a_last_message_that_is_too_long_is_refused_with_its_size() -> None:
    with pytest.raises(Invalid, match="prompt is too long: 12 tokens > 11 maximum"):
        await drop_oldest(asking(user(3), user(9)), 11, COUNT)
    with pytest.raises(Invalid, match="prompt is too long: 12 tokens > 3 maximum"):
        await drop_oldest(asking(user(9)), 3, COUNT)


@given(CONVERSATIONS, st.integers(1, 9), st.integers(4, 60))
async def test_no_more_is_dropped_than_has_to_be(earlier: list[list[Message]], last: int, limit: int) -> None:
    request = asking(*(message for turn in earlier for message in turn), user(last))
    try:
        fitted, left_out = await drop_oldest(request, limit, COUNT)
    except Invalid:
        assert limit < 2 + 1 + last
        return
    dropped = left_out.messages
    assert request.messages[dropped:] == fitted.messages
    assert await COUNT(fitted) <= limit
    called = {block.id for m in fitted.messages for block in m.content if isinstance(block, ToolUse)}
    answered = {block.tool_use_id for m in fitted.messages for block in m.content if isinstance(block, ToolResult)}
    assert answered <= called
    if dropped:
        turns = [len(turn) for turn in earlier]
        starts = [sum(turns[:i]) for i in range(len(turns) + 1)]
        before = starts[starts.index(dropped) - 1]
        assert await COUNT(asking(*request.messages[before:])) > limit
