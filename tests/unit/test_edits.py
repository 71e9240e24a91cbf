"""Clearing old tool results and thoughts: exact, only when asked for and triggered, and still a conversation."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.edits import Cleared, ClearThinking, ClearToolUses, Edit
from haiga.core.errors import Invalid
from haiga.core.generation import TextRequest
from haiga.core.messages import Block, CacheMark, Image, Message, Text, Thinking, ToolResult, ToolUse, UrlSource
from haiga.engines.fake import FakeEngine
from haiga.services.packing import PLACEHOLDER, edited
from haiga.wire.anthropic.messages_in import read_message

COUNT = FakeEngine().count
CLEARED = (Text(PLACEHOLDER),)
LONG = "a result of quite some length that nobody reads again"  # 10 words; the placeholder has 4


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def thought(text: str, *said: Block) -> Message:
    return Message("assistant", (Thinking(text), *said))


def calls(id: str, name: str = "look", result: str = LONG) -> list[Message]:
    return [
        Message("assistant", (ToolUse(id, name, {"at": "it", "how": "well"}),)),
        Message("user", (ToolResult(id, (Text(result),)),)),
    ]


def asking(*edits: Edit, messages: list[Message]) -> TextRequest:
    return TextRequest("fake", tuple(messages), 1, edits=edits)


def results(request: TextRequest) -> list[tuple[Block, ...]]:
    return [block.content for message in request.messages for block in message.content if isinstance(block, ToolResult)]


AGENT = [user("go"), *calls("a"), *calls("b", "write"), *calls("c"), *calls("d")]
NOW = ClearToolUses(over=1)


async def test_results_of_all_but_the_last_calls_are_cleared_and_their_tokens_counted() -> None:
    request = asking(replace(NOW, keep=1), messages=AGENT)
    shorter, made = await edited(request, COUNT)
    assert [CLEARED, CLEARED, CLEARED, (Text(LONG),)] == results(shorter)
    assert (Cleared("tool_uses", 3, await COUNT(request) - await COUNT(shorter)),) == made
    assert [message.role for message in request.messages] == [message.role for message in shorter.messages]


async def test_what_was_called_stays_unless_its_inputs_are_to_go() -> None:
    def inputs(request: TextRequest) -> list[bool]:
        return [bool(block.input) for m in request.messages for block in m.content if isinstance(block, ToolUse)]

    for wanted, expected in (
        (False, [True, True, True, True]),
        (True, [False, False, False, True]),
        (frozenset({"write"}), [True, False, True, True]),
    ):
        shorter, _ = await edited(asking(replace(NOW, keep=1, inputs=wanted), messages=AGENT), COUNT)
        assert expected == inputs(shorter)


async def test_excluded_tools_are_left_alone() -> None:
    shorter, made = await edited(asking(replace(NOW, keep=1, exclude=frozenset({"look"})), messages=AGENT), COUNT)
    assert [(Text(LONG),), CLEARED, (Text(LONG),), (Text(LONG),)] == results(shorter)
    assert 1 == made[0].number


async def test_the_trigger_is_what_the_prompt_must_exceed() -> None:
    tokens = await COUNT(asking(messages=AGENT))
    for over, measure, made in (
        (tokens, "input_tokens", False),
        (tokens - 1, "input_tokens", True),
        (4, "tool_uses", False),
        (3, "tool_uses", True),
    ):
        request = asking(ClearToolUses(over, measure, keep=1), messages=AGENT)  # type: ignore[arg-type]
        assert made == bool((await edited(request, COUNT))[1])


async def test_nothing_is_cleared_that_is_not_worth_it() -> None:
    request = asking(replace(NOW, keep=1), messages=AGENT)
    tokens = (await edited(request, COUNT))[1][0].tokens
    assert (await edited(asking(replace(NOW, keep=1, at_least=tokens), messages=AGENT), COUNT))[1]
    too_little = asking(replace(NOW, keep=1, at_least=tokens + 1), messages=AGENT)
    assert (too_little, ()) == await edited(too_little, COUNT)
    short = asking(replace(NOW, keep=0), messages=[user("go"), *calls("a", result="yes")])
    assert (short, ()) == await edited(short, COUNT)


async def test_a_cache_breakpoint_in_a_cleared_result_stays() -> None:
    marked = ToolResult("a", (Text(LONG, cache=CacheMark("1h")), Image(UrlSource("http://x"))), cache=CacheMark())
    messages = [AGENT[0], AGENT[1], Message("user", (marked,))]
    shorter, _ = await edited(asking(replace(NOW, keep=0), messages=messages), COUNT)
    expected = ToolResult("a", (Text(PLACEHOLDER, cache=CacheMark("1h")),), cache=CacheMark())
    assert (expected,) == shorter.messages[-1].content


TALK = [
    user("one"),
    thought("long ago", ToolUse("a", "look", {})),
    Message("user", (ToolResult("a", (Text("seen"),)),)),
    thought("and then", Text("done")),
    user("two"),
    thought("just now", Text("done")),
    user("three"),
]


async def test_thoughts_of_old_turns_go_and_a_turn_lasts_until_the_user_speaks() -> None:
    shorter, made = await edited(asking(ClearThinking(1), messages=TALK), COUNT)
    thinking = [any(isinstance(block, Thinking) for block in message.content) for message in shorter.messages]
    assert [False, False, False, False, False, True, False] == thinking
    assert (Cleared("thinking_turns", 1, 4),) == made


@pytest.mark.parametrize("keep", [2, 5, None])
async def test_thoughts_that_are_to_be_kept_are(keep: int | None) -> None:
    request = asking(ClearThinking(keep), messages=TALK)
    assert (request, ()) == await edited(request, COUNT)


async def test_a_message_that_was_nothing_but_a_thought_goes() -> None:
    request = asking(ClearThinking(1), messages=[user("one"), thought("so"), *TALK[4:]])
    assert [*request.messages[:1], *request.messages[2:]] == list((await edited(request, COUNT))[0].messages)


async def test_each_edit_looks_at_what_the_one_before_left() -> None:
    messages = [user("go"), thought("w " * 49 + "w", Text("hm")), user("on"), thought("now"), user("and"), *calls("a")]
    tokens = await COUNT(asking(messages=messages))
    tools = ClearToolUses(over=tokens - 50, keep=0)
    assert 1 == len((await edited(asking(tools, messages=messages), COUNT))[1])
    _, made = await edited(asking(ClearThinking(1), tools, messages=messages), COUNT)
    assert (Cleared("thinking_turns", 1, 50),) == made


async def test_what_has_nothing_to_clear_is_not_even_counted() -> None:
    async def never(request: TextRequest) -> int:
        raise AssertionError("counted")

    request = asking(ClearThinking(1), ClearToolUses(), messages=[user("go"), *calls("a")])
    assert (request, ()) == await edited(request, never)


# --- any conversation ---

WORDS = st.integers(1, 12).map(lambda n: " ".join(["w"] * n))
THOUGHT = st.booleans()
STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "call", "call two", "only think"]), THOUGHT, WORDS), min_size=1, max_size=10
)
EDITS = st.tuples(
    st.builds(ClearThinking, st.one_of(st.none(), st.integers(1, 3))),
    st.builds(
        ClearToolUses,
        st.integers(1, 200),
        st.sampled_from(["input_tokens", "tool_uses"]),
        st.integers(0, 4),
        st.integers(0, 30),
        st.sampled_from([frozenset(), frozenset({"look"})]),
        st.sampled_from([False, True, frozenset({"write"})]),
    ),
)


def conversation(steps: list[tuple[str, bool, str]]) -> list[dict[str, Any]]:
    """As a caller would send it."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "go"}]}]
    for i, (kind, thinks, text) in enumerate(steps):
        said: list[dict[str, Any]] = [{"type": "thinking", "thinking": text, "signature": ""}] if thinks else []
        ids = [f"c{i}_{n}" for n in range({"call": 1, "call two": 2}.get(kind, 0))]
        said += [{"type": "tool_use", "id": id, "name": ["look", "write"][i % 2], "input": {"at": text}} for id in ids]
        said += [{"type": "text", "text": text}] if kind == "say" or not said else []
        answers: list[dict[str, Any]] = [{"type": "tool_result", "tool_use_id": id, "content": text} for id in ids]
        answers += [] if ids else [{"type": "text", "text": "go on"}]
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": answers}]
    return messages


def sent(messages: tuple[Message, ...] | list[dict[str, Any]]) -> bytes:
    """A body with these messages; core ones as a caller would send them."""
    told = [m if isinstance(m, dict) else {"role": m.role, "content": list(map(written, m.content))} for m in messages]
    return json.dumps({"model": "m", "max_tokens": 2048, "messages": told, "thinking": {"type": "adaptive"}}).encode()


def written(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return {"type": "text", "text": block.text}
        case Thinking():
            return {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
        case ToolUse():
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": dict(block.input)}
        case ToolResult():
            return {
                "type": "tool_result",
                "tool_use_id": block.tool_use_id,
                "content": list(map(written, block.content)),
            }
    raise AssertionError(block)


@given(STEPS, EDITS)
async def test_an_edited_conversation_is_one_that_the_reader_takes(
    steps: list[tuple[str, bool, str]], edits: tuple[Edit, ...]
) -> None:
    request = replace(read_message(sent(conversation(steps)), "2023-06-01").request, edits=edits)
    shorter, made = await edited(request, COUNT)
    assert shorter.messages == read_message(sent(shorter.messages), "2023-06-01").request.messages
    assert await COUNT(request) - await COUNT(shorter) == sum(each.tokens for each in made)
    assert all(each.tokens > 0 and each.number > 0 for each in made)
    assert (shorter is request) == (made == ())


@given(STEPS, st.integers(0, 5))
async def test_as_many_results_are_kept_as_asked(steps: list[tuple[str, bool, str]], keep: int) -> None:
    request = read_message(sent(conversation(steps)), "2023-06-01").request
    shorter, made = await edited(replace(request, edits=(ClearToolUses(1, "tool_uses", keep),)), COUNT)
    number = len(results(request))
    kept = sum(content != CLEARED for content in results(shorter))
    assert (min(keep, number) if made else number) == kept
    assert results(request)[number - kept :] == results(shorter)[number - kept :]


@given(STEPS, EDITS, st.integers(0, 50))
async def test_under_the_trigger_the_request_is_the_very_same(
    steps: list[tuple[str, bool, str]], edits: tuple[ClearThinking, ClearToolUses], room: int
) -> None:
    request = read_message(sent(conversation(steps)), "2023-06-01").request
    over = {"input_tokens": await COUNT(request), "tool_uses": len(results(request))}[edits[1].measure] + room
    request = replace(request, edits=(replace(edits[1], over=over),))
    shorter, made = await edited(request, COUNT)
    assert shorter is request
    assert () == made


async def test_a_prompt_too_long_to_be_counted_is_cleared_and_saves_at_the_least_what_is_told() -> None:
    request = asking(replace(NOW, over=10_000, keep=0), messages=AGENT)
    whole = await COUNT(request)

    async def limited(asked: TextRequest) -> int:
        if await COUNT(asked) == whole:
            raise Invalid(f"prompt is too long: {whole - 9} tokens > 5 maximum", code="context_length_exceeded")
        return await COUNT(asked)

    shorter, made = await edited(request, limited)
    assert [CLEARED] * 4 == results(shorter)
    assert (Cleared("tool_uses", 4, whole - 9 - await COUNT(shorter)),) == made
