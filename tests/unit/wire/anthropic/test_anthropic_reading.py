"""Bodies of the Messages API become core values, field by field."""

import json
from typing import Any

import pytest

from haiga.core.edits import ClearThinking
from haiga.core.generation import TextRequest, ThinkingRequest
from haiga.core.messages import (
    Base64Source,
    BlocksSource,
    CacheMark,
    Document,
    FileSource,
    Image,
    Message,
    Opaque,
    RedactedThinking,
    SearchResult,
    Text,
    TextSource,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.wire.anthropic.messages_in import OVERFLOW_BETA, read_count, read_message
from tests.unit.wire.anthropic.bodies import EPHEMERAL, HI, HOUR, NEW, OLD, blocks, body, read

# --- whole bodies ---


def test_the_smallest_body_is_a_request_with_nothing_else_asked():
    assert TextRequest("m", (Message("user", (Text("Hi"),)),), 16) == read()


def test_a_full_body_of_the_old_version_is_read_field_by_field():
    request = read(
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END", "\n\nHuman:"],
        metadata={"user_id": "u1"},
        service_tier="auto",
        cache_control=HOUR,
    )
    assert (Text("Be brief."),) == request.system
    assert (0.5, 0.9, 5) == (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k)
    assert ("END", "\n\nHuman:") == request.stop
    assert "u1" == request.user
    assert CacheMark("1h") == request.cache


def test_what_claude_code_sends_is_accepted_and_its_attribution_kept_out_of_the_prompt():
    request = read(
        NEW,
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=00f3c;"},
            {"type": "text", "text": "You are an agent.", "cache_control": EPHEMERAL},
        ],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        metadata={"user_id": "device"},
        stream=True,
    )
    assert (Text("You are an agent.", cache=CacheMark()),) == request.system
    assert ThinkingRequest("adaptive") == request.thinking
    assert "high" == request.extra["effort"]
    assert (ClearThinking(None),) == request.edits


def test_the_stream_flag_is_apart_from_the_request():
    assert (True, False, False) == tuple(read_message(body(stream=flag), OLD).stream for flag in (True, False, None))


def test_unknown_fields_are_tolerated_and_kept():
    assert {"brand_new": [1]} == read(brand_new=[1]).extra
    assert {"shade": "blue"} == blocks({"type": "text", "text": "a", "shade": "blue"})[0].extra


def test_null_stands_for_absent_in_every_optional_field():
    names = "system tools tool_choice thinking cache_control output_config stop_sequences metadata temperature stream"
    assert read() == read(**dict.fromkeys(names.split()))


def test_count_tokens_reads_the_same_prompt_without_max_tokens():
    whole = read(system="s", tools=[{"name": "t", "input_schema": {"type": "object"}}])
    fields = {"model": "m", "messages": [HI], "system": "s"}
    counted = read_count(
        json.dumps({**fields, "tools": [{"name": "t", "input_schema": {"type": "object"}}]}).encode(), OLD
    )
    assert (whole.messages, whole.system, whole.tools) == (counted.messages, counted.system, counted.tools)


def test_the_context_window_beta_lets_the_answer_stop_at_the_window():
    assert "stop" == read_message(body(), OLD, [OVERFLOW_BETA]).request.overflow
    assert "refuse" == read_message(body(), OLD, ["never-heard-of-2030-01-01"]).request.overflow
    assert "stop" == read_message(body(), NEW).request.overflow


# --- messages ---


def test_messages_stay_as_they_were_sent_so_that_errors_can_name_their_place():
    messages = [
        HI,
        {"role": "user", "content": [{"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Yes?"},
        {"role": "system", "content": "Now answer in French."},
        {"role": "user", "content": "Go"},
    ]
    expected = (
        Message("user", (Text("Hi"),)),
        Message("user", (Text("there"),)),
        Message("assistant", (Text("Yes?"),)),
        Message("system", (Text("Now answer in French."),)),
        Message("user", (Text("Go"),)),
    )
    assert expected == read(messages=messages).messages


def test_a_last_assistant_message_is_a_prefill_and_an_empty_one_is_nothing():
    assert "assistant" == read(messages=[HI, {"role": "assistant", "content": "Sure:"}]).messages[-1].role
    assert "user" == read(messages=[HI, {"role": "assistant", "content": ""}]).messages[-1].role
    assert "user" == read(messages=[HI, {"role": "assistant", "content": []}]).messages[-1].role


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "a", "citations": None}, Text("a")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            Image(Base64Source("image/png", "AA==")),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://a/b"}}, Image(UrlSource("https://a/b"))),
        (
            {
                "type": "image",
                "source": {"type": "file", "file_id": "file_1"},
                "transformations": {"oversized_image": "error"},
            },
            Image(FileSource("file_1"), extra={"transformations": {"oversized_image": "error"}}),
        ),
        (
            {
                "type": "document",
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            },
            Document(Base64Source("application/pdf", "AA=="), "T", "C", True),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
            Document(TextSource("d")),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "p"}]}},
            Document(BlocksSource((Text("p"),))),
        ),
        (
            {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
            SearchResult("s", "t", (Text("x"),)),
        ),
        ({"type": "container_upload", "file_id": "f"}, Opaque("container_upload", extra={"file_id": "f"})),
    ],
)
def test_every_known_block_of_a_user_is_read_without_loss(block: Any, expected: Any):
    assert (expected,) == blocks(block)


def test_every_block_an_answer_can_hold_is_accepted_as_it_was_sent():
    answer = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1]}, "caller": {"type": "direct"}},
    ]
    result = {"type": "tool_result", "tool_use_id": "toolu_1"}
    request = read(messages=[HI, {"role": "assistant", "content": answer}, {"role": "user", "content": [result]}])
    expected = (
        Thinking("hm", "s"),
        RedactedThinking("d"),
        Text("Hello"),
        ToolUse("toolu_1", "f", {"a": [1]}, extra={"caller": {"type": "direct"}}),
    )
    assert expected == request.messages[1].content
    assert (ToolResult("toolu_1", ()),) == request.messages[2].content


def test_a_tool_result_holds_a_string_or_blocks():
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}

    def result(content: Any) -> Any:
        part = {"type": "tool_result", "tool_use_id": "a", "content": content, "is_error": True}
        return read(messages=[HI, call, {"role": "user", "content": [part]}]).messages[-1].content[0]

    assert ToolResult("a", (Text("42"),), True) == result("42")
    assert ToolResult("a", (Opaque("tool_reference", extra={"tool_name": "f"}),), True) == result(
        [{"type": "tool_reference", "tool_name": "f"}]
    )


def test_tools_are_custom_unless_they_name_a_defined_type():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    tools = [
        {"name": "f", "description": "d", "input_schema": schema, "strict": True, "defer_loading": True},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 5},
    ]
    expected = (
        Tool("f", "d", schema, strict=True, extra={"defer_loading": True}),
        Tool("bash", kind="bash_20250124"),
        Tool("computer", kind="computer_20250124", extra={"display_width_px": 5}),
    )
    assert expected == read(tools=tools).tools


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("any", parallel=False)),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_every_form_of_tool_choice_is_read(choice: Any, expected: ToolChoice):
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert expected == read(tools=tools, tool_choice=choice).tool_choice


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "disabled"}, ThinkingRequest()),
        ({"type": "adaptive", "display": "omitted"}, ThinkingRequest("adaptive", display="omitted")),
        ({"type": "between_tools"}, ThinkingRequest("between_tools")),
        ({"type": "enabled", "budget_tokens": 1024}, ThinkingRequest("enabled", 1024)),
    ],
)
def test_every_form_of_thinking_is_read(thinking: Any, expected: ThinkingRequest):
    assert expected == read(thinking=thinking, max_tokens=2000).thinking


def test_a_schema_for_the_output_is_read_from_either_field():
    schema = {"type": "object", "additionalProperties": False}
    wanted = {"type": "json_schema", "schema": schema}
    assert schema == read(output_config={"format": wanted}).output_schema
    assert schema == read(output_format=wanted).output_schema


def test_arguments_are_streamed_as_they_come_for_a_tool_or_by_a_beta_for_every_one():
    tool = {"name": "f", "input_schema": {"type": "object"}}
    eager = {"eager_input_streaming": True}
    assert eager == read(tools=[tool | eager]).tools[0].extra
    beta = ["fine-grained-tool-streaming-2025-05-14"]
    assert eager == read_message(body(tools=[tool]), OLD, beta).request.tools[0].extra


def test_max_tokens_zero_asks_for_a_warm_cache_alone():
    assert 0 == read(max_tokens=0).max_tokens
