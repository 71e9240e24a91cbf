"""Responses' answers: golden events and bodies, and streams that add up to the whole."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import Failed, Invalid, Unsupported
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    Started,
    TextDelta,
    TokenLogprob,
    fold,
)
from haiga.core.messages import RedactedThinking, Text, Thinking, ToolUse
from haiga.core.responses import KeptConversation
from haiga.wire.openai_body import read_shape
from haiga.wire.openai_responses import write
from haiga.wire.openai_responses.answers import ResponseAnswer
from haiga.wire.openai_responses.codes import decode_thoughts
from haiga.wire.openai_responses.items import Items
from haiga.wire.openai_responses.items_in import read_conversation
from haiga.wire.openai_responses.read import Form, read_response
from tests.unit.wire.events import USAGE, answer
from tests.unit.wire.openai.answers import answers
from tests.unit.wire.openai_responses.told import FREE, folded, kinds, told, writer

EVENTS = answer("H", "i")
TEXT = [Started(USAGE), BlockStarted(0, Text("")), TextDelta(0, "Hi"), BlockStopped(0)]
HI = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_2", "type": "message", "status": "completed", "role": "assistant", "content": [HI]}
THOUGHT = {"type": "reasoning_text", "text": "Hm."}


def without_numbers(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name != "sequence_number"} for event in events]


def test_the_events_of_an_answer_of_every_kind_in_order() -> None:
    expected = [
        *("created", "in_progress"),
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done"),
        *("content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"),
        "completed",
    ]
    assert expected == kinds(told(EVENTS, Form(free_text=FREE)))


def test_a_message_event_by_event() -> None:
    at = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    message = MESSAGE | {"id": "msg_1"}
    empty = message | {"status": "in_progress", "content": []}
    expected = [
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        {"type": "response.content_part.added", **at, "part": HI | {"text": ""}},
        {"type": "response.output_text.delta", **at, "delta": "Hi", "logprobs": []},
        {"type": "response.output_text.done", **at, "text": "Hi", "logprobs": []},
        {"type": "response.content_part.done", **at, "part": HI},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
    ]
    assert expected == without_numbers(told([*TEXT, Finished("end_turn", USAGE)]))[2:-1]


def test_a_call_event_by_event() -> None:
    at = {"output_index": 0, "item_id": "fc_1"}
    call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "look"}
    expected = [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": call | {"status": "in_progress", "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", **at, "delta": '{"a":'},
        {"type": "response.function_call_arguments.delta", **at, "delta": "1}"},
        {"type": "response.function_call_arguments.done", **at, "name": "look", "arguments": '{"a":1}'},
        {"type": "response.output_item.done", "output_index": 0, "item": call | {"arguments": '{"a":1}'}},
    ]
    assert expected == without_numbers(told([EVENTS[0], *EVENTS[10:14], EVENTS[-1]]))[2:-1]


def test_a_call_without_pieces_has_the_arguments_that_it_began_with() -> None:
    events = told([Started(USAGE), BlockStarted(0, ToolUse("c", "now", {"a": 1})), BlockStopped(0), EVENTS[-1]])
    assert ['{"a":1}', '{"a":1}'] == [events[3]["delta"], events[-1]["response"]["output"][0]["arguments"]]


def test_the_whole_response_field_by_field() -> None:
    made = writer(Form(free_text=FREE), instructions="Be brief.", metadata={"k": "v"}, temperature=0.5)
    for event in EVENTS:
        made.write(event)
    thoughts = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [THOUGHT], "status": "completed"}
    call = {"id": "fc_3", "type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":1}'}
    free = {"id": "ctc_4", "type": "custom_tool_call", "call_id": "c2", "name": "shell", "input": "ls"}
    done = {"status": "completed"}
    assert {
        "id": "resp_1",
        "object": "response",
        "created_at": 5,
        "completed_at": 9,
        "model": "m",
        "status": "completed",
        "background": False,
        "conversation": None,
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"k": "v"},
        "output": [thoughts, MESSAGE, call | done, free | done],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": 17,
        },
        "user": None,
    } == made.response()


def test_what_truncation_dropped_is_told_only_if_anything_was() -> None:
    asked = read_response(b'{"model": "m", "input": "Hi", "truncation": "auto"}', str)
    cut = write.head(asked, id="resp_1", created=5, model="m", dropped=["msg_1", "rs_2"])
    assert {"dropped_items": ["msg_1", "rs_2"]} == cut["truncated"]
    assert "truncated" not in write.head(asked, id="resp_1", created=5, model="m")


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ("end_turn", "completed", None),
        ("stop_sequence", "completed", None),
        ("max_tokens", "incomplete", {"reason": "max_output_tokens"}),
        ("model_context_window_exceeded", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_why_an_answer_ended(stop: Any, status: str, reason: dict[str, str] | None) -> None:
    events = told([*TEXT, Finished(stop, USAGE)])
    last, item = events[-1], events[-2]["item"]
    assert (f"response.{status}", status, status) == (last["type"], last["response"]["status"], item["status"])
    assert reason == last["response"]["incomplete_details"]


def test_only_the_last_item_of_a_cut_answer_is_incomplete() -> None:
    events = told([*EVENTS[:-1], Finished("max_tokens", USAGE)])
    statuses = [item["status"] for item in events[-1]["response"]["output"]]
    assert ["completed", "completed", "completed", "incomplete"] == statuses


def test_a_summary_is_written_where_it_was_asked_for() -> None:
    events = told([*EVENTS[:6], EVENTS[-1]], Form(summary=True))
    expected = ["part.added", "text.delta", "text.done", "part.done"]
    assert [f"reasoning_summary_{name}" for name in expected] == kinds(events)[3:7]
    part = {"type": "summary_text", "text": "Hm."}
    assert ([part], []) == (events[7]["item"]["summary"], events[7]["item"]["content"])


def test_thoughts_come_back_from_their_code_with_their_signature() -> None:
    item = told(EVENTS, Form(encrypted=True))[-1]["response"]["output"][0]
    assert ("Hm.", "s") == decode_thoughts(item["encrypted_content"])


def test_logprobs_are_written_only_when_they_were_asked_for() -> None:
    tokens = (TokenLogprob(5, "Hi", -0.5, ((5, "Hi", -0.5), (6, "Ho", float("-inf")))),)
    script = [Started(USAGE), BlockStarted(0, Text("")), TextDelta(0, "Hi", tokens), BlockStopped(0), EVENTS[-1]]
    top = [
        {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
        {"token": "Ho", "logprob": -9999.0, "bytes": [72, 111]},
    ]
    entry = {**top[0], "top_logprobs": top}
    asked, plain = told(script, Form(logprobs=True)), told(script)
    assert [[entry], [entry]] == [asked[4]["logprobs"], asked[-1]["response"]["output"][0]["content"][0]["logprobs"]]
    assert [[], []] == [plain[4]["logprobs"], plain[-1]["response"]["output"][0]["content"][0]["logprobs"]]


def test_a_block_that_the_api_has_no_item_for_is_left_out() -> None:
    events = told([Started(USAGE), BlockStarted(0, RedactedThinking("x")), BlockStopped(0), EVENTS[-1]])
    assert ["created", "in_progress", "completed"] == kinds(events)


def test_a_background_response_is_queued_first() -> None:
    events = told([*TEXT, Finished("end_turn", USAGE)], background=True)
    assert ["created", "queued", "in_progress"] == kinds(events)[:3]
    assert ["queued", "queued", "in_progress"] == [event["response"]["status"] for event in events[:3]]


def test_a_failure_closes_the_open_item_and_is_told_twice() -> None:
    made = writer()
    said = [event for given in TEXT[:3] for event in made.write(given)] + made.fail(Failed("out of luck"))
    ending = ["output_text.done", "content_part.done", "output_item.done", "error", "failed"]
    assert ending == kinds(said)[-5:]
    assert ("server_error", "out of luck", None) == (said[-2]["code"], said[-2]["message"], said[-2]["param"])
    assert {"code": "server_error", "message": "out of luck"} == said[-1]["response"]["error"]
    assert ("failed", "incomplete") == (said[-1]["response"]["status"], said[-3]["item"]["status"])


def test_a_failure_before_anything_was_said_is_a_whole_stream() -> None:
    said = writer().fail(Invalid("no", field="input", code="bad"))
    assert ["created", "error", "failed"] == kinds(said)
    assert [0, 1, 2] == [event["sequence_number"] for event in said]
    assert ("bad", "input") == (said[1]["code"], said[1]["param"])


def test_an_error_in_a_stream_names_the_request_s_own_field() -> None:
    assert "input[4]" == writer().fail(Unsupported("no", field="messages.0.content.0"))[1]["param"]
    assert "input" == writer().fail(Invalid("prompt is too long: 9 tokens > 8 maximum"))[1]["param"]


def test_a_cancelled_response_keeps_what_was_said() -> None:
    made = writer(background=True)
    said = [event for given in TEXT[:3] for event in made.write(given)] + made.cancel()
    assert ["output_item.done", "cancelled"] == kinds(said)[-2:]
    assert "Hi" == said[-1]["response"]["output"][0]["content"][0]["text"]


FORMS = st.builds(Form, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([frozenset(), FREE]))


@settings(max_examples=200, deadline=None)
@given(answers(), FORMS)
def test_the_deltas_of_any_answer_add_up_to_the_whole_and_are_numbered_without_a_gap(
    events: list[Event], form: Form
) -> None:
    said = told(events, form)
    assert list(range(len(said))) == [event["sequence_number"] for event in said]
    assert said[-1]["response"]["output"] == folded(said)
    assert said[-1]["response"] == ResponseAnswer.model_validate(said[-1]["response"]).model_dump(exclude_unset=True)
    assert said[-1]["response"]["status"] == said[-1]["type"].removeprefix("response.")


@settings(max_examples=100, deadline=None)
@given(answers(), FORMS, st.data())
def test_a_failure_at_any_point_leaves_no_item_open(events: list[Event], form: Form, data: st.DataObject) -> None:
    made = writer(form)
    at = data.draw(st.integers(0, len(events) - 1))
    said = [event for given in events[:at] for event in made.write(given)] + made.fail(Failed("no"))
    assert kinds(said).count("output_item.added") == kinds(said).count("output_item.done")
    assert ["error", "failed"] == kinds(said)[-2:]
    assert list(range(len(said))) == [event["sequence_number"] for event in said]


@settings(max_examples=200, deadline=None)
@given(answers())
def test_an_answer_given_back_is_read_as_what_was_said(events: list[Event]) -> None:
    items = told(events, Form(encrypted=True, free_text=FREE))[-1]["response"]["output"]
    conversation = read_conversation(read_shape(Items, {"input": items}).input, 0)
    # thoughts that are empty are nothing to give back
    expected = [block for block in fold(events).content if block != Thinking("")]
    assert expected == [block for message in conversation.messages for block in message.content]


# --- what is kept ---

ITEMS = [{"id": name} for name in "abcde"]


@pytest.mark.parametrize(
    ("after", "limit", "order", "expected", "more"),
    [
        (None, 2, "asc", "ab", True),
        ("b", 2, "asc", "cd", True),
        ("d", 2, "asc", "e", False),
        (None, 5, "desc", "edcba", False),
        ("d", 2, "desc", "cb", True),
        ("a", 2, "desc", "", False),
    ],
)
def test_pages_of_items(after: str | None, limit: int, order: str, expected: str, more: bool) -> None:
    page = write.page(ITEMS, after=after, limit=limit, order=order)
    assert (list(expected), more) == ([item["id"] for item in page[0]], page[1])


def test_a_page_after_an_unknown_item_is_refused() -> None:
    with pytest.raises(Invalid, match="after: No item with id 'x' found"):
        write.page(ITEMS, after="x", limit=2, order="asc")


def test_lists_and_conversations_and_deletions() -> None:
    kept = KeptConversation("conv_1", "w", 5, 6, {"k": "v"})
    assert b'{"id":"conv_1","object":"conversation","created_at":5,"metadata":{"k":"v"}}' == write.write_conversation(
        kept
    )
    assert b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}' == write.write_items([])
    assert b'{"id":"resp_1","object":"response","deleted":true}' == write.write_deleted("resp_1", "response")
