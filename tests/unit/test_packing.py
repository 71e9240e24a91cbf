"""Leaving out of the middle of a conversation that does not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.core.generation import Dropped, TextRequest
from haiga.core.messages import Block, Message, Text, ToolResult, ToolUse, text_of
from haiga.services.packing import middle_out


def said(role: str, text: str) -> Message:
    return Message(role, (Text(text),))  # type: ignore[arg-type]


def calling(id: str) -> list[Message]:
    return [Message("assistant", (ToolUse(id, "f", {}),)), Message("user", (ToolResult(id, (Text("x" * 5),)),))]


def size(block: Block) -> int:
    return len(block.text) if isinstance(block, Text) else 5


async def count(request: TextRequest) -> int:
    """A token a character, five a call or result, and one a message."""
    return sum(1 + sum(map(size, message.content)) for message in request.messages)


def request(messages: list[Message]) -> TextRequest:
    return TextRequest("m", tuple(messages), 10)


CHAT = [said("user", "u1"), said("assistant", "a1"), said("user", "u2"), said("assistant", "a2"), said("user", "u3")]


async def test_what_fits_is_not_touched() -> None:
    whole = request(CHAT)
    assert (whole, Dropped()) == await middle_out(whole, 15, count)


async def test_whole_turns_go_from_the_middle() -> None:
    long = request([said("user" if i % 2 == 0 else "assistant", str(i)) for i in range(9)])
    packed, dropped = await middle_out(long, 14, count)
    assert (["0", "1", "4", "5", "6", "7", "8"], Dropped(2)) == ([text_of(m.content) for m in packed.messages], dropped)
    assert "user" == packed.messages[-1].role


async def test_calls_go_with_their_results() -> None:
    agent = request([said("user", "go"), *calling("a"), *calling("b"), *calling("c")])
    packed, dropped = await middle_out(agent, 27, count)
    assert (request([said("user", "go"), *calling("b"), *calling("c")]), Dropped(2)) == (packed, dropped)


async def test_a_last_message_that_is_too_long_loses_its_middle() -> None:
    packed, dropped = await middle_out(request([*CHAT[:-1], said("user", "abcdefghij")]), 7, count)
    assert ("abchij", Dropped(4, 4)) == (text_of(packed.messages[0].content), dropped)


async def test_a_prefill_stays_with_the_question() -> None:
    packed, _ = await middle_out(request([*CHAT, said("assistant", "so")]), 6, count)
    assert ["u3", "so"] == [text_of(message.content) for message in packed.messages]


async def test_what_cannot_be_made_to_fit_is_refused_with_its_least_size() -> None:
    with pytest.raises(Invalid, match="prompt is too long: 12 tokens > 3 maximum"):
        await middle_out(request([said("user", "go"), *calling("a")]), 3, count)


async def test_a_prompt_that_is_too_long_to_be_counted_is_made_shorter() -> None:
    async def patient(request: TextRequest) -> int:
        if (size := await count(request)) > 10:
            raise Invalid("prompt is too long", code="context_length_exceeded")
        return size

    assert await middle_out(request(CHAT), 9, count) == await middle_out(request(CHAT), 9, patient)


@pytest.mark.parametrize("letters", [1, 3, 7, 40])
async def test_what_is_counted_to_cut_a_text_of_millions_is_about_as_long_as_what_is_kept(letters: int) -> None:
    counted: list[int] = []

    async def tokens(request: TextRequest) -> int:
        """A token for so many letters; what is certain to be far too long is refused unread."""
        length = sum(len(text_of(message.content)) for message in request.messages)
        if length > 128 * 1000:
            raise Invalid("prompt is too long: 9999 tokens > 1000 maximum", code="context_length_exceeded")
        counted.append(length)
        return -(-length // letters)

    packed, _ = await middle_out(request([said("user", "x" * 5_000_000)]), 1000, tokens)
    kept = len(text_of(packed.messages[0].content))
    assert 1000 * letters == kept
    assert sum(counted) <= 25 * max(kept, 4000)


ROLES = st.sampled_from(["user", "assistant", "call"])


@given(st.lists(st.tuples(ROLES, st.integers(0, 20)), max_size=8), st.integers(0, 60), st.integers(1, 150))
async def test_the_result_fits_keeps_what_was_said_last_and_pairs(
    shape: list[tuple[str, int]], last: int, limit: int
) -> None:
    messages: list[Message] = []
    for i, (kind, length) in enumerate(shape):
        messages += calling(f"c{i}") if kind == "call" else [said(kind, "y" * length)]
    whole = request([*messages, said("user", "z" * last)])
    packed, dropped = await middle_out(whole, limit, count)
    assert await count(packed) <= limit
    assert "z" * (last - dropped.characters) == text_of(packed.messages[-1].content)
    assert len(whole.messages) - dropped.messages == len(packed.messages)
    used = {block.id for m in packed.messages for block in m.content if isinstance(block, ToolUse)}
    answered = {block.tool_use_id for m in packed.messages for block in m.content if isinstance(block, ToolResult)}
    assert used == answered
    assert (await count(whole) <= limit) == (dropped == Dropped())
