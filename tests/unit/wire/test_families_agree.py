"""One answer, written by every family and given back as history, is the same conversation, as far as the family's form
can carry it: Chat Completions and OpenRouter join an answer's texts and put its calls last."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings

from haiga.core.generation import (
    Choice,
    Echo,
    Event,
    Finished,
    PromptToken,
    Reply,
    Routed,
    TokenLogprob,
    Usage,
    fold,
    replay,
)
from haiga.core.messages import Block, Message, Text, Thinking, ToolUse, text_of
from haiga.core.records import Price
from haiga.wire.anthropic.messages_in import read_message
from haiga.wire.anthropic.messages_out import write_message
from haiga.wire.openai_body import read_shape
from haiga.wire.openai_chat.read import Form, read_chat
from haiga.wire.openai_chat.stream import ChatStream
from haiga.wire.openai_chat.write import write_chat
from haiga.wire.openai_responses.items import Items
from haiga.wire.openai_responses.items_in import read_conversation
from haiga.wire.openrouter.read import read_router_chat
from haiga.wire.openrouter.stream import RouterStream
from haiga.wire.openrouter.write import write_router_chat
from tests.unit.wire.anthropic.test_anthropic_writing import gathered, stream
from tests.unit.wire.events import interleaved
from tests.unit.wire.openai.answers import answers, chunks, folded
from tests.unit.wire.openai_responses.told import PLAIN, told
from tests.unit.wire.openai_responses.told import folded as folded_items

HI: dict[str, Any] = {"role": "user", "content": "hi"}
ON: dict[str, Any] = {"role": "user", "content": "go on"}
FORM = Form()


def called(reply: Reply) -> list[str]:
    return [block.id for block in reply.content if isinstance(block, ToolUse)]


def by_anthropic(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    content = [part for part in orjson.loads(write_message(reply, id="msg_1", model="m"))["content"] if said(part)]
    return anthropic_history(content, reply)


def anthropic_history(content: list[dict[str, Any]], reply: Reply) -> tuple[Message, ...]:
    results = [{"type": "tool_result", "tool_use_id": id, "content": "ok"} for id in called(reply)]
    messages = [HI, {"role": "assistant", "content": content}, {"role": "user", "content": results or "go on"}]
    body = {"model": "m", "max_tokens": 9, "messages": messages}
    return read_message(orjson.dumps(body), "2023-06-01").request.messages


def said(part: dict[str, Any]) -> bool:
    """Whether there is anything in a part: the API takes no empty texts back."""
    return part["type"] != "text" or bool(part["text"].strip())


def by_chat(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    message = orjson.loads(write_chat([reply], FORM, id="c", model="m", created=0))["choices"][0]["message"]
    return read_chat(history(message, reply)).request.messages


def by_openrouter(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    whole = write_router_chat([reply], FORM, id="g", routed=Routed("m"), created=0, price=Price(), reasoning=True)
    message = orjson.loads(whole)["choices"][0]["message"]
    return read_router_chat(history(message, reply)).chat.request.messages


def history(message: dict[str, Any], reply: Reply) -> bytes:
    results = [{"role": "tool", "tool_call_id": id, "content": "ok"} for id in called(reply)]
    return orjson.dumps({"model": "m", "messages": [HI, message, *(results or [ON])]})


def by_responses(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    return responses_history(told(events, PLAIN)[-1]["response"]["output"], reply)


def responses_history(output: list[dict[str, Any]], reply: Reply) -> tuple[Message, ...]:
    results = [{"type": "function_call_output", "call_id": id, "output": "ok"} for id in called(reply)]
    given = orjson.loads(orjson.dumps({"input": [HI, *output, *(results or [ON])]}))
    return read_conversation(read_shape(Items, given).input, 0).messages


def by_anthropic_streamed(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    content = [part for part in gathered(stream(events))["content"] if said(part)]
    return anthropic_history(content, reply)


def by_chat_streamed(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    return read_chat(history(streamed(ChatStream(FORM, id="c", model="m", created=0), events), reply)).request.messages


def by_openrouter_streamed(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    writer = RouterStream(FORM, id="g", model="m", created=0, price=lambda name: Price(), reasoning=True)
    return read_router_chat(history(streamed(writer, events), reply)).chat.request.messages


def streamed(writer: ChatStream | RouterStream, events: list[Event]) -> dict[str, Any]:
    """The message that a client makes of a stream."""
    items = [*(Choice(0, event) for event in events), Finished("end_turn", Usage())]
    return folded(chunks(b"".join(map(writer.write, items))))[0]["message"]  # type: ignore[arg-type]


def by_responses_streamed(reply: Reply, events: list[Event]) -> tuple[Message, ...]:
    return responses_history(folded_items(told(events, PLAIN)), reply)


FAMILIES: list[Callable[[Reply, list[Event]], tuple[Message, ...]]] = [
    by_anthropic,
    by_chat,
    by_openrouter,
    by_responses,
    by_anthropic_streamed,
    by_chat_streamed,
    by_openrouter_streamed,
    by_responses_streamed,
]


def carried(content: tuple[Block, ...]) -> tuple[str, str, list[tuple[str, str, Any]]]:
    """What every family can carry: thoughts, text, and the calls in their order."""
    thoughts = "".join(block.thinking for block in content if isinstance(block, Thinking))
    calls = [(block.id, block.name, block.input) for block in content if isinstance(block, ToolUse)]
    return thoughts, text_of(content), calls


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(events=answers())
def test_an_answer_given_back_is_what_was_said(
    family: Callable[[Reply, list[Event]], tuple[Message, ...]], events: list[Event]
) -> None:
    reply = fold(events)
    # blank texts are not carried by Anthropic's form, and an answer of nothing is no message
    assume(all(not isinstance(block, Text) or block.text.strip() or not block.text for block in reply.content))
    assume(any(not isinstance(block, Text | Thinking) or text_of((block,)) for block in reply.content))
    messages = family(reply, events)
    assert Message("user", (Text("hi"),)) == messages[0]
    assert ("assistant", carried(reply.content)) == (messages[1].role, carried(messages[1].content))
    assert "user" == messages[-1].role


ORDERED = [by_anthropic, by_anthropic_streamed, by_responses, by_responses_streamed]


@pytest.mark.parametrize("family", ORDERED)
@settings(max_examples=60, deadline=None)
@given(events=answers())
def test_where_the_form_has_an_order_it_is_kept(
    family: Callable[[Reply, list[Event]], tuple[Message, ...]], events: list[Event]
) -> None:
    reply = fold(events)
    assume(all(not isinstance(block, Text) or block.text.strip() or not block.text for block in reply.content))
    blocks = [block for block in reply.content if something(block)]
    assume(any(not isinstance(block, Thinking) for block in blocks))
    given_back = family(reply, events)[1].content
    assert list(map(shown, blocks)) == [shown(block) for block in given_back if something(block)]


def something(block: Block) -> bool:
    return carried((block,)) != ("", "", [])


def shown(block: Block) -> tuple[str, object]:
    return type(block).__name__, carried((block,))


@given(events=answers())
def test_a_whole_answer_told_again_is_the_same_answer(events: list[Event]) -> None:
    reply = fold(events)
    assert reply == fold(replay(reply))
    echoed = replace(reply, echo=Echo("a b", (PromptToken("a", 0), PromptToken(" b", 1, TokenLogprob(1, " b", -1.0)))))
    assert echoed == fold(replay(echoed))


# --- the golden conversation ---

GOLDEN = fold(interleaved())
SIGNED = [by_anthropic, by_anthropic_streamed, by_openrouter, by_openrouter_streamed]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_golden_conversation_comes_back_from_every_family_whole_and_streamed(
    family: Callable[[Reply, list[Event]], tuple[Message, ...]],
) -> None:
    given_back = family(GOLDEN, interleaved())[1].content
    calls = [("c1", "look", {"at": "the söa"}), ("c2", "look", {})]
    assert ("First this.Then that.", "I look. And again.", calls) == carried(given_back)
    kinds = [type(block).__name__ for block in given_back]
    if family in ORDERED:
        assert ["Thinking", "Text", "ToolUse", "Thinking", "Text", "ToolUse"] == kinds
    else:
        assert sorted(kinds, key=["Thinking", "Text", "ToolUse"].index) == kinds  # the form puts calls last
    if family in SIGNED:
        assert ["s0", "s3"] == [block.signature for block in given_back if isinstance(block, Thinking)]
