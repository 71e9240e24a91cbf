"""Bodies of the Responses and Conversations APIs become core values, or errors in the API's own words."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import SamplingRequest, TextRequest, ThinkingRequest
from haiga.core.messages import (
    Base64Source,
    CacheMark,
    Document,
    FileSource,
    Grammar,
    Image,
    Message,
    RedactedThinking,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.wire.openai_chat.read import FREE_TEXT, NO_PARAMETERS, free_text_schema
from haiga.wire.openai_responses.codes import decode_thoughts, encode_thoughts
from haiga.wire.openai_responses.conversations import read_change, read_conversation, read_items
from haiga.wire.openai_responses.read import Form
from tests.unit.wire.openai_responses.asked import (
    CALL,
    CARD,
    HI,
    LOOK,
    OUTPUT,
    SHELL,
    USED,
    messages,
    prompt,
    read,
    request,
)
from tests.unit.wire.openai_responses.told import numbered

# --- whole bodies ---


def test_a_plain_string_is_one_message_of_the_users() -> None:
    expected = TextRequest(
        "m", (Message("user", (Text("Hi"),)),), 64, thinking=ThinkingRequest("adaptive"), overflow="stop"
    )
    assert [expected, expected] == [request(input="Hi"), request()]


def test_a_full_body_is_read_field_by_field() -> None:
    asked = read(
        instructions="Be brief.",
        max_output_tokens=7,
        temperature=1.5,
        top_p=0.5,
        top_logprobs=3,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "text"}, "verbosity": "low"},
        user="u",
        safety_identifier="s",
        stream=True,
        stream_options={"include_obfuscation": False},
        metadata={"k": "v"},
        brand_new=[1],
    )
    made = asked.prompt((), asked.items, CARD).request
    assert ((Text("Be brief."),), 7, "s") == (made.system, made.max_tokens, made.user)
    assert SamplingRequest(temperature=1.5, top_p=0.5, logprobs=3) == made.sampling
    assert {"effort": "low", "verbosity": "low", "brand_new": [1]} == made.extra
    assert Form(logprobs=True, encrypted=True, summary=True) == asked.form


def test_null_stands_for_absent_in_every_optional_field() -> None:
    names = "instructions tools tool_choice reasoning text truncation include metadata store conversation temperature"
    assert request() == request(**dict.fromkeys(names.split()))


def test_reasoning_is_left_to_the_model_unless_it_is_switched_off() -> None:
    modes = [request(reasoning={"effort": effort}).thinking.mode for effort in ("none", "minimal", "max", None)]
    assert ["disabled", "adaptive", "adaptive", "adaptive"] == modes


def test_logprobs_are_asked_for_by_include_alone() -> None:
    wanted = ["message.output_text.logprobs"]
    logprobs = [request(**fields).sampling.logprobs for fields in ({"top_logprobs": 3}, {"include": wanted})]
    assert [None, 0] == logprobs


def test_an_answer_is_kept_unless_the_request_says_otherwise() -> None:
    assert [True, True, False] == [read(store=store).kept for store in (None, True, False)]


def test_both_forms_of_a_conversation_name_it() -> None:
    assert ["conv_1", "conv_1", None] == [
        read(conversation=given).conversation for given in ("conv_1", {"id": "conv_1"}, None)
    ]


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "name": "n", "schema": {"type": "array"}, "strict": True}, {"type": "array"}),
    ],
)
def test_forms_of_output(wanted: dict[str, Any], schema: dict[str, Any] | None) -> None:
    assert schema == request(text={"format": wanted}).output_schema


# --- tools ---


def test_tools_are_read_flat() -> None:
    grammar = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    tools = [LOOK, {"type": "function", "name": "now"}, SHELL, SHELL | {"name": "sh2", "format": grammar}]
    expected = (
        Tool("look", schema={"type": "object"}, strict=True),
        Tool("now", schema=NO_PARAMETERS),
        Tool("shell", "Run.", FREE_TEXT),
        Tool("sh2", "Run.", free_text_schema(Grammar("regex", "a+")), strict=True, grammar=Grammar("regex", "a+")),
    )
    assert expected == request(tools=tools).tools
    assert frozenset({"shell", "sh2"}) == read(tools=tools).form.free_text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "name": "look"}, ToolChoice("tool", "look")),
        ({"type": "custom", "name": "shell"}, ToolChoice("tool", "shell")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]},
            ToolChoice("any", allowed=("look",)),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "shell"}]},
            ToolChoice("auto", allowed=("shell",)),
        ),
    ],
)
def test_every_form_of_tool_choice(given: Any, expected: ToolChoice) -> None:
    assert expected == request(tools=[LOOK, SHELL], tool_choice=given).tool_choice
    one_at_a_time = request(tools=[LOOK, SHELL], tool_choice=given, parallel_tool_calls=False)
    assert replace(expected, parallel=False) == one_at_a_time.tool_choice


# --- items ---


def test_system_and_developer_messages_at_the_beginning_follow_the_instructions() -> None:
    given = [{"role": "developer", "content": "A"}, {"role": "system", "content": "B"}, HI, HI | {"role": "system"}]
    made = request(input=given, instructions="I")
    assert (Text("I"), Text("A"), Text("B")) == made.system
    assert ("user", "system") == tuple(message.role for message in made.messages)


def test_system_messages_alone_stay_messages() -> None:
    assert (Message("system", (Text("A"),)),) == messages({"role": "system", "content": "A"})


def test_what_an_assistant_thought_said_and_called_is_one_message() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}
    said = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "So.", "annotations": []}, {"type": "refusal", "refusal": "No."}],
    }
    other, free = CALL | {"call_id": "c2"}, {"type": "custom_tool_call_output", "call_id": "c2", "output": "two"}
    spoken = (Thinking("Hm"), Text("So.", extra={}), Text("No."), USED, replace(USED, id="c2"))
    assert (
        Message("user", (Text("Hi"),)),
        Message("assistant", spoken),
        Message("user", (ToolResult("c1", (Text("seen"),)), ToolResult("c2", (Text("two"),)))),
        Message("user", (Text("Hi"),)),
    ) == messages(HI, thought, said, CALL, other, OUTPUT, free, HI)


def test_calls_one_after_the_other_stay_apart() -> None:
    again = [CALL | {"call_id": "c2"}, OUTPUT | {"call_id": "c2"}]
    roles = [message.role for message in messages(HI, CALL, OUTPUT, *again)]
    assert ["user", "assistant", "user", "assistant", "user"] == roles


def test_a_custom_call_carries_its_text() -> None:
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "shell", "input": "ls"}
    assert ToolUse("c1", "shell", {"input": "ls"}) == messages(HI, call, OUTPUT)[1].content[0]


def test_outputs_may_hold_parts() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x/y.png"}]
    result = messages(HI, CALL, OUTPUT | {"output": parts})[2].content[0]
    assert ToolResult("c1", (Text("a"), Image(UrlSource("https://x/y.png")))) == result


def test_images_files_and_cache_marks() -> None:
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "high"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
        {"type": "input_file", "file_id": "file_2"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
        {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
    ]
    assert (
        Image(Base64Source("", "QUJD"), extra={"detail": "high"}),
        Image(FileSource("file_1")),
        Document(Base64Source("application/pdf", "QUJD"), "a.pdf"),
        Document(FileSource("file_2")),
        Document(UrlSource("https://x/a.pdf")),
        Text("Hi", cache=CacheMark("5m")),
    ) == messages({"role": "user", "content": parts})[0].content


@pytest.mark.parametrize(
    ("fields", "block"),
    [
        (
            {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
            Thinking("a\n\nb"),
        ),
        ({"summary": [], "encrypted_content": encode_thoughts("ü", "s")}, Thinking("ü", "s")),
        ({"summary": [], "encrypted_content": "gAAAA"}, RedactedThinking("gAAAA")),
        ({"summary": [], "encrypted_content": "haiga1.!"}, RedactedThinking("haiga1.!")),
        ({"summary": []}, None),
    ],
)
def test_thoughts_given_back(fields: dict[str, Any], block: Any) -> None:
    said = {"role": "assistant", "content": "So."}
    expected = (Text("So."),) if block is None else (block, Text("So."))
    assert expected == messages(HI, {"type": "reasoning", "id": "rs_1", **fields}, said)[1].content


def test_a_damaged_code_is_no_thought() -> None:
    assert [None] * 3 == [decode_thoughts(code) for code in ("haiga1.W10=", "haiga1.é", "x")]


def test_items_are_kept_with_ids_and_statuses_as_the_api_lists_them() -> None:
    given = [HI, CALL, OUTPUT | {"id": "mine"}, {"type": "reasoning", "summary": []}]
    parts = [{"type": "input_text", "text": "Hi"}]
    assert [
        {"type": "message", "id": "msg_1", "role": "user", "status": "completed", "content": parts},
        {**CALL, "id": "fc_2", "status": "completed"},
        {**OUTPUT, "id": "mine", "status": "completed"},
        {"type": "reasoning", "id": "rs_3", "summary": []},
    ] == [dict(item) for item in read(input=given).items]


def test_what_is_kept_comes_before_what_is_new_and_is_read_the_same() -> None:
    past = read(input=[HI, CALL]).items
    made = prompt(past, input=[OUTPUT, HI], instructions="I")
    assert messages(HI, CALL, OUTPUT, HI) == made.request.messages
    assert (("msg_1",), ("fc_2",), ("fco_1",), ("msg_2",)) == made.sources


def test_a_reference_is_read_as_what_it_refers_to() -> None:
    asked = read(input=[{"type": "item_reference", "id": "msg_9"}, {"id": "msg_9"}])
    assert [{"type": "item_reference", "id": "msg_9"}] * 2 == [dict(item) for item in asked.items]
    kept = {"type": "message", "id": "msg_9", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    assert (Message("user", (Text("Hi"),)),) * 2 == asked.prompt((), [kept, kept], CARD).request.messages


# --- conversations ---


def test_conversations_are_read_with_their_items() -> None:
    metadata, items = read_conversation(orjson.dumps({"metadata": {"k": "v"}, "items": [HI, CALL]}), numbered())
    assert ({"k": "v"}, ["msg_1", "fc_2"]) == (metadata, [item["id"] for item in items])
    assert ({}, ()) == read_conversation(b"", numbered())
    assert [{}, {"a": "b"}] == [read_change(b'{"metadata": null}'), read_change(b'{"metadata": {"a": "b"}}')]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([HI] * 21, "items"),
        ([HI, {"type": "shell_call"}], "items[1]"),
        ([{"type": "item_reference", "id": "x"}], "items[0]"),
        ([HI | {"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}], "items[0].content[0].type"),
    ],
)
def test_items_of_a_conversation_are_checked(given: Any, param: str) -> None:
    with pytest.raises((Invalid, Unsupported)) as caught:
        read_items(orjson.dumps({"items": given}), numbered())
    assert param == caught.value.field
