"""Context management through the official anthropic SDK: what is cleared, what is reported, what is left as it was."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any

import anthropic
import pytest

from haiga.core.generation import Event, TextRequest
from haiga.core.messages import ToolResult, text_of
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.packing import PLACEHOLDER
from tests.wire.anthropic_server import EVERYTHING, services
from tests.wire.client_checks import KEY
from tests.wire.openai_server import serving

BETAS = ["context-management-2025-06-27"]
RESULT = "as blue as it ever was and just as wide"


class Remembering(FakeEngine):
    """Echoes, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(replace(CARD, name="remembering", capabilities=EVERYTHING))
        self.asked: list[TextRequest] = []

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        async for event in super().generate(request):
            yield event


@pytest.fixture
def engine() -> Remembering:
    return Remembering()


@pytest.fixture
def client(engine: Remembering) -> Iterator[anthropic.Anthropic]:
    with serving(services([engine])) as url:
        yield anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


def agent(calls: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "look around"}]
    for i in range(calls):
        said = [
            {"type": "thinking", "thinking": "where to", "signature": ""},
            {"type": "tool_use", "id": f"c{i}", "name": "look", "input": {"at": "the sea"}},
        ]
        answer = [{"type": "tool_result", "tool_use_id": f"c{i}", "content": RESULT}]
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": answer}]
    return messages


def edits(over: int, keep: int = 1, **more: Any) -> dict[str, Any]:
    trigger = {"type": "input_tokens", "value": over}
    kept = {"type": "tool_uses", "value": keep}
    return {"edits": [{"type": "clear_tool_uses_20250919", "trigger": trigger, "keep": kept, **more}]}


def asked(calls: int, **more: Any) -> dict[str, Any]:
    return {"model": "remembering", "messages": agent(calls), "betas": BETAS, **more}


def results(request: TextRequest) -> list[str]:
    blocks = [block for message in request.messages for block in message.content if isinstance(block, ToolResult)]
    return [text_of(block.content) for block in blocks]


def test_old_results_are_cleared_and_the_answer_says_so(client: anthropic.Anthropic, engine: Remembering) -> None:
    before = client.beta.messages.count_tokens(**asked(4)).input_tokens
    message = client.beta.messages.create(**asked(4, max_tokens=9, context_management=edits(20)))
    assert [PLACEHOLDER, PLACEHOLDER, PLACEHOLDER, RESULT] == results(engine.asked[-1])
    assert message.context_management is not None
    (applied,) = message.context_management.applied_edits
    assert ("clear_tool_uses_20250919", 3) == (applied.type, applied.cleared_tool_uses)
    assert before - message.usage.input_tokens == applied.cleared_input_tokens > 0


def test_a_stream_says_it_at_its_end(client: anthropic.Anthropic) -> None:
    whole = client.beta.messages.create(**asked(4, max_tokens=9, context_management=edits(20)))
    with client.beta.messages.stream(**asked(4, max_tokens=9, context_management=edits(20))) as stream:
        ends = [event for event in stream if event.type == "message_delta"]
        final = stream.get_final_message()
    assert whole.context_management is not None
    assert [whole.context_management] == [end.context_management for end in ends]
    assert whole.context_management == final.context_management
    assert whole.usage.input_tokens == final.usage.input_tokens


def test_tokens_are_counted_after_and_before_the_edits(client: anthropic.Anthropic) -> None:
    before = client.beta.messages.count_tokens(**asked(4))
    after = client.beta.messages.count_tokens(**asked(4, context_management=edits(20)))
    billed = client.beta.messages.create(**asked(4, max_tokens=1, context_management=edits(20))).usage.input_tokens
    assert before.context_management is None
    assert after.context_management is not None
    assert (before.input_tokens, billed) == (after.context_management.original_input_tokens, after.input_tokens)
    assert after.input_tokens < before.input_tokens


def test_under_the_trigger_the_model_reads_what_it_would_have_read(
    client: anthropic.Anthropic, engine: Remembering
) -> None:
    plain = client.beta.messages.create(**asked(4, max_tokens=9))
    edited = client.beta.messages.create(**asked(4, max_tokens=9, context_management=edits(plain.usage.input_tokens)))
    first, second = engine.asked
    assert first == replace(second, edits=None)
    assert (plain.content, plain.usage) == (edited.content, edited.usage)
    assert plain.context_management is None
    assert edited.context_management is not None
    assert [] == edited.context_management.applied_edits


def test_thoughts_are_cleared_before_tool_results(client: anthropic.Anthropic) -> None:
    thoughts = {"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}}
    more = [{"role": "assistant", "content": "blue"}, {"role": "user", "content": "and now"}, *agent(2)[1:]]
    wanted = asked(2, max_tokens=9, context_management={"edits": [thoughts, *edits(20)["edits"]]})
    wanted |= {"thinking": {"type": "adaptive"}, "messages": [*agent(2), *map(_again, more)]}
    message = client.beta.messages.create(**wanted)
    assert message.context_management is not None
    first, second = message.context_management.applied_edits
    assert ("clear_thinking_20251015", 1) == (first.type, first.cleared_thinking_turns)
    assert ("clear_tool_uses_20250919", 3) == (second.type, second.cleared_tool_uses)


def _again(message: dict[str, Any]) -> dict[str, Any]:
    """The message with calls of other ids."""
    if isinstance(message["content"], str):
        return message
    renamed = [
        block | {key: f"again_{block[key]}" for key in ("id", "tool_use_id") if key in block}
        for block in message["content"]
    ]
    return message | {"content": renamed}


def compact(over: int, pause: bool = False) -> dict[str, Any]:
    """The engine says what it is told, so that is its summary."""
    edit = {"type": "compact_20260112", "instructions": "<summary>the sea is blue</summary>"}
    return {"edits": [edit | {"trigger": {"type": "input_tokens", "value": over}, "pause_after_compaction": pause}]}


SAID = [{"role": "user", "content": "what is the sea like"}]


def talk(client: anthropic.Anthropic, messages: list[Any], **more: Any) -> Any:
    given = {"model": "remembering", "max_tokens": 9, "betas": ["compact-2026-01-12"], **more}
    return client.beta.messages.create(messages=messages, **given)


def test_a_long_conversation_goes_on_from_a_summary(client: anthropic.Anthropic, engine: Remembering) -> None:
    message = talk(client, SAID, context_management=compact(2))
    block, text = message.content
    assert ("compaction", "the sea is blue") == (block.type, block.content)
    assert ("what is the sea like", "end_turn") == (text.text, message.stop_reason)
    summed_up, answered = message.usage.iterations
    assert ("compaction", "message") == (summed_up.type, answered.type)
    assert (answered.input_tokens, answered.output_tokens) == (message.usage.input_tokens, message.usage.output_tokens)
    again = [*SAID, {"role": "assistant", "content": message.content}, {"role": "user", "content": "go on"}]
    talk(client, again)
    first, second, third = engine.asked[-1].messages
    assert text_of(first.content).endswith("\n\nthe sea is blue")
    assert ("what is the sea like", "go on") == (text_of(second.content), text_of(third.content))


def test_a_summary_is_streamed_in_one_piece(client: anthropic.Anthropic) -> None:
    whole = talk(client, SAID, context_management=compact(2))
    given: Any = {"model": "remembering", "max_tokens": 9, "messages": SAID, "context_management": compact(2)}
    with client.beta.messages.stream(**given, betas=["compact-2026-01-12"]) as stream:
        told = [event.content for event in stream if event.type == "compaction"]
        final = stream.get_final_message()
    assert ["the sea is blue"] == told
    assert [block.to_dict(exclude_none=True) for block in whole.content] == [
        block.to_dict(exclude_none=True) for block in final.content
    ]
    assert whole.usage.iterations == final.usage.iterations


def test_a_pause_hands_the_summary_over(client: anthropic.Anthropic, engine: Remembering) -> None:
    message = talk(client, SAID, context_management=compact(2, pause=True))
    assert ("compaction", ["compaction"]) == (message.stop_reason, [block.type for block in message.content])
    talk(client, [*SAID, {"role": "assistant", "content": message.content}], context_management=compact(99))
    assert [message.content[0].content] == [
        text_of(each.content).split("\n\n")[-1] for each in engine.asked[-1].messages
    ]


def test_a_summary_on_demand_is_all_of_the_answer_and_opens_the_next_conversation(
    client: anthropic.Anthropic, engine: Remembering
) -> None:
    wanted = {"type": "summarize", "instructions": "<summary>the sea is blue</summary>"}
    message = talk(client, SAID, extra_body={"compaction": wanted})
    assert ("compaction", ["the sea is blue"]) == (message.stop_reason, [block.content for block in message.content])
    talk(client, [{"role": "assistant", "content": message.content}, {"role": "user", "content": "go on"}])
    assert ["the sea is blue", "go on"] == [
        text_of(each.content).split("\n\n")[-1] for each in engine.asked[-1].messages
    ]
    for more, words in (
        ({"context_management": compact(2)}, "cannot be combined"),
        ({"messages": [*SAID, {"role": "assistant", "content": "it"}]}, "not finished"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=words):
            talk(client, **{"messages": SAID, "extra_body": {"compaction": wanted}, **more})


def test_what_is_wrong_is_refused_in_the_apis_words(client: anthropic.Anthropic) -> None:
    wanted: Any = {"edits": [{"type": "clear_thinking_20251015"}]}
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.beta.messages.create(**asked(1, max_tokens=9, context_management=wanted))
    message = "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive"
    assert message == caught.value.body["error"]["message"]  # type: ignore[index]
