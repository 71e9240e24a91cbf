"""What the Messages API refuses, in its own words."""

from typing import Any

import pytest

from haiga.core.errors import Unsupported
from haiga.core.messages import (
    CacheMark,
    Document,
    Text,
    TextSource,
)
from haiga.wire.anthropic.messages_in import read_message
from tests.unit.wire.anthropic.bodies import EPHEMERAL, HI, HOUR, NEW, OLD, blocks, body, read, refusal, saying


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 10**30}, "max_tokens: Input should be a valid integer"),
        ({"model": 5}, "model: Input should be a valid string"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": {}}, "messages: Input should be a valid list"),
        ({"messages": ["a"]}, "messages.0: Input should be a valid dictionary"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        (
            {"messages": [{"role": "tool", "content": "a"}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({"top_k": 1.5}, "top_k: Input should be a valid integer"),
        ({"stop_sequences": ["a", " \n"]}, "stop_sequences.1: each stop sequence must contain non-whitespace"),
        ({"stop_sequences": "END"}, "stop_sequences: Input should be a valid list"),
        ({"service_tier": "priority"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        ({"cache_control": {"type": "forever"}}, "cache_control.type: Input should be 'ephemeral'"),
        ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl: Input should be '5m' or '1h'"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 100}},
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "max_tokens: `max_tokens` must be greater than `thinking.budget_tokens`",
        ),
        ({"tool_choice": {"type": "any"}}, "tool_choice: tool_choice may only be specified while providing tools."),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.custom.name: String should match"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
        (
            {"tools": [{"name": "f", "input_schema": {"type": "string"}}]},
            "tools.0.custom.input_schema.type: Input should be 'object'",
        ),
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}}] * 2}, "tools: Tool names must be unique."),
        ({"tools": [{"type": "made_up_20990101"}]}, "tools.0: Input tag 'made_up_20990101' found"),
        ({"mcp_servers": [{"name": "x", "type": "url"}]}, "mcp_servers.0.url: Field required"),
        ({"container": "container_1"}, "container: containers are not supported"),
        ({"speed": "fast"}, "speed: fast mode is not supported"),
        ({"system": [{"type": "image"}]}, "system.0.type: Input should be 'text'"),
        ({"system": [{"type": "text", "text": ""}]}, "system.0.text: text content blocks must be non-empty"),
        (
            {"messages": [HI, {"role": "assistant", "content": "Sure: "}]},
            "messages: final assistant content cannot end with trailing whitespace",
        ),
        (
            {"messages": [HI, {"role": "assistant", "content": ""}, HI]},
            "messages.1: all messages must have non-empty content except for the optional final assistant message",
        ),
        (
            {
                "messages": [
                    HI,
                    {"role": "system", "content": [{"type": "image", "source": {"type": "url", "url": ""}}]},
                ]
            },
            "messages.1.content.0: `system` messages can only contain text blocks",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_the_reason(fields: Any, words: str):
    assert refusal(**fields).startswith(words)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"type": "text"}, "messages.0.content.0.text.text: Field required"),
        ({"type": "text", "text": ""}, "messages.0.content.0.text: text content blocks must be non-empty"),
        (
            {"type": "text", "text": "", "cache_control": EPHEMERAL},
            "messages.0.content.0.text: cache_control cannot be set for empty text blocks",
        ),
        ({}, "messages.0.content.0.type: Field required"),
        ({"type": "hologram"}, "messages.0.content.0: Input tag 'hologram' found using 'type' does not match"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": ""}},
            "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png'",
        ),
        (
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages",
        ),
        (
            {"type": "tool_result", "tool_use_id": "a"},
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
        ),
    ],
)
def test_a_block_that_does_not_fit_is_named_with_the_reason(block: Any, words: str):
    assert saying(block).startswith(words)


def test_message_threads_are_refused_with_the_code_the_sdk_falls_back_on():
    with pytest.raises(Unsupported) as caught:
        read_message(body(thread={"type": "create"}), NEW)
    assert ("message threads are not supported", "thread_unsupported_request") == (
        str(caught.value),
        caught.value.code,
    )


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, "anthropic-version: header is required"),
        ("", "anthropic-version: header is required"),
        ("2022-01-01", 'anthropic-version: "2022-01-01" is not a valid API version'),
    ],
)
def test_a_missing_or_unknown_version_is_refused(version: str | None, words: str):
    assert words == refusal(version)


@pytest.mark.parametrize("field", [{"temperature": 1.0}, {"top_p": 0.5}, {"top_k": 0}])
def test_sampling_fields_belong_to_the_old_version_alone(field: Any):
    assert read(OLD, **field)
    assert "is not supported in anthropic-version 2026-10-21" in refusal(NEW, **field)


def test_the_new_version_takes_no_document_from_the_assistant():
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}
    assert (Document(TextSource("d")),) == blocks(document, role="assistant")
    assert "messages.0.content.0: `document` blocks are not allowed in `assistant` messages" == saying(
        document, role="assistant", version=NEW
    )


def test_the_new_version_takes_no_citations_on_a_users_text():
    cited = {"type": "text", "text": "a", "citations": [{"type": "char_location"}]}
    assert (Text("a", ({"type": "char_location"},)),) == blocks(cited)
    assert saying(cited, version=NEW).startswith("messages.0.content.0.citations: ")
    assert (Text("a"),) == blocks({**cited, "citations": []}, version=NEW)
    assert (Text("a", ({"type": "char_location"},)),) == blocks(cited, role="assistant", version=NEW)


# --- cache marks ---


def marked(mark: Any) -> Any:
    return {"type": "text", "text": "a", "cache_control": mark}


def test_at_most_four_blocks_may_carry_a_cache_mark_wherever_they_are():
    four = {
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": EPHEMERAL}],
        "system": [marked(EPHEMERAL)],
        "messages": [
            {"role": "user", "content": [marked(EPHEMERAL), marked(EPHEMERAL), {"type": "text", "text": "b"}]}
        ],
    }
    assert CacheMark("5m") == read(**four).tools[0].cache
    words = "A maximum of 4 blocks with cache_control may be provided. Found 5."
    assert words == refusal(**four, cache_control=EPHEMERAL)


def test_the_automatic_mark_costs_nothing_where_the_last_block_has_the_same():
    content = [marked(EPHEMERAL)] * 4
    assert CacheMark() == read(messages=[{"role": "user", "content": content}], cache_control=EPHEMERAL).cache


def test_a_long_mark_may_not_follow_a_short_one():
    message = {"role": "user", "content": [marked(HOUR)]}
    assert refusal(system=[marked(EPHEMERAL)], messages=[message]).startswith(
        "messages.0.content.0.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m'"
    )
    assert read(system=[marked(HOUR)], messages=[{"role": "user", "content": [marked(EPHEMERAL)]}])


# --- tool results ---


def use(*ids: str) -> Any:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "f", "input": {}} for i in ids]}


def results(*ids: str, before: Any = (), after: Any = ()) -> Any:
    answers = [{"type": "tool_result", "tool_use_id": i, "content": "ok"} for i in ids]
    return {"role": "user", "content": [*before, *answers, *after]}


SAY = ({"type": "text", "text": "so"},)


def test_every_call_is_answered_first_thing_in_the_next_user_message():
    missing = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b."
    assert read(messages=[HI, use("a", "b"), results("b", "a", after=SAY)])
    assert read(messages=[HI, use("a", "b"), results("a"), results("b")])
    assert read(messages=[HI, use("a"), {"role": "system", "content": "x"}, results("a")])
    assert refusal(messages=[HI, use("a", "b"), results("a")]).startswith(missing)
    assert refusal(messages=[HI, use("b"), results("b", before=SAY)]).startswith(missing)
    assert refusal(messages=[HI, use("b")]).startswith(missing)


def test_no_call_is_answered_twice_or_out_of_nowhere():
    assert "messages.2.content.1: each tool_use must have a single result." in refusal(
        messages=[HI, use("a"), results("a", "a")]
    )
    assert "unexpected `tool_use_id`" in refusal(messages=[HI, use("a"), results("a", "z")])
    assert "messages: `tool_use` ids must be unique" == refusal(messages=[HI, use("a", "a"), results("a")])
