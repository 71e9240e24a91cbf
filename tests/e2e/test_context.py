"""Long conversations through the Messages API: the official SDK, a served model with random weights."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.e2e.test_serve import Server, serving
from tests.served import make_model

RESULT = "as blue as it ever was, and just as wide; " * 3
# the likeliest tokens: a random model may otherwise begin with its end, and make nothing of a conversation
CERTAIN = {"extra_body": {"temperature": 0}, "extra_headers": {"anthropic-version": "2023-06-01"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = make_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=2560)
    with serving(tmp_path_factory.mktemp("data"), "--no-starter", "--model", f"tiny={directory}") as server:
        yield server


@pytest.fixture
def messages(server: Server) -> Any:
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0).beta.messages


def agent(calls: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [{"role": "user", "content": "Look around."}]
    for i in range(calls):
        call = {"type": "tool_use", "id": f"c{i}", "name": "look", "input": {"at": "the sea"}}
        said += [{"role": "assistant", "content": [call]}]
        said += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"c{i}", "content": RESULT}]}]
    return said


def clear(over: int, keep: int) -> dict[str, Any]:
    edit = {"type": "clear_tool_uses_20250919", "keep": {"type": "tool_uses", "value": keep}}
    return {"edits": [edit | {"trigger": {"type": "input_tokens", "value": over}}]}


def test_a_prompt_under_the_trigger_is_found_in_the_cache(messages: Any) -> None:
    asked = {"model": "tiny", "max_tokens": 1, "messages": agent(3)}
    plain = messages.create(**asked).usage
    prompt = plain.input_tokens + plain.cache_read_input_tokens
    again = messages.create(**asked, context_management=clear(prompt, 1)).usage
    assert prompt == again.input_tokens + again.cache_read_input_tokens
    assert (prompt - 1) // 32 * 32 == again.cache_read_input_tokens


def test_what_is_cleared_is_counted_and_what_came_before_it_is_found_in_the_cache(messages: Any) -> None:
    asked = {"model": "tiny", "messages": agent(4), "context_management": clear(100, 2)}
    counted = messages.count_tokens(**asked)
    first = messages.create(**asked, max_tokens=1)
    (edit,) = first.context_management.applied_edits
    assert (2, counted.context_management.original_input_tokens - counted.input_tokens) == (
        edit.cleared_tool_uses,
        edit.cleared_input_tokens,
    )
    assert counted.input_tokens == first.usage.input_tokens + first.usage.cache_read_input_tokens
    again = messages.create(**asked, max_tokens=1)
    assert (counted.input_tokens - 1) // 32 * 32 == again.usage.cache_read_input_tokens


def test_a_conversation_goes_on_from_what_the_model_made_of_it(messages: Any) -> None:
    edit = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50}}
    said = [*agent(3), {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "And now?"}]
    look = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
    asked = {"model": "tiny", "max_tokens": 4, **CERTAIN, "messages": said, "tools": [look]}
    whole = messages.create(**asked).usage
    prompt = whole.input_tokens + whole.cache_read_input_tokens
    answer = messages.create(**asked, context_management={"edits": [edit]})
    summed_up, answered = answer.usage.iterations
    assert "compaction" == answer.content[0].type
    assert answer.content[0].content
    assert summed_up.cache_read_input_tokens >= prompt - 64
    assert answered.output_tokens == answer.usage.output_tokens <= 4
    more = [*said, {"role": "assistant", "content": answer.content[:1]}, {"role": "user", "content": "Well?"}]
    on = messages.count_tokens(model="tiny", messages=more).input_tokens
    assert on == messages.count_tokens(model="tiny", messages=more[-2:]).input_tokens
