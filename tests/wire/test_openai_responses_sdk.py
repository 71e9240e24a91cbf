"""The official openai SDK, as it stands, makes responses here: whole, streamed, parsed, sync and async."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from haiga.core.errors import Busy, Failed
from haiga.core.generation import BlockStarted, BlockStopped, Finished, TextDelta, TokenLogprob, Usage
from haiga.core.messages import Text
from haiga.engines.fake import CARD, FakeEngine
from tests.wire.openai_server import ABLE
from tests.wire.responses_server import serving_kept
from tests.wire.test_openai_chat_sdk import CALLING

LOOK = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}
NOW = {"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}
JSON = replace(ABLE, name="json")
BROKEN = replace(CARD, name="broken")
FULL = replace(CARD, name="full")
SAYS = (BlockStarted(0, Text("")), TextDelta(0, '{"name": "Ada"}'), BlockStopped(0))
TOKENS = (TokenLogprob(5, "Hi", -0.5, ((5, "Hi", -0.5),)),)
SCORED = (BlockStarted(0, Text("")), TextDelta(0, "Hi", TOKENS), BlockStopped(0))
ENGINES = [
    FakeEngine(),
    FakeEngine(ABLE, CALLING),
    FakeEngine(JSON, SAYS),
    FakeEngine(replace(CARD, name="scored"), SCORED),
    FakeEngine(BROKEN, (BlockStarted(0, Text("")), TextDelta(0, "Hal"), Failed("it broke"))),
    FakeEngine(FULL, (Busy("the queue is full", retry_after=2.5),)),
    FakeEngine(replace(CARD, name="cut"), (*SAYS, Finished("max_tokens", Usage()))),
    FakeEngine(replace(CARD, name="small", context=40, max_output=40)),
]


class Person(BaseModel):
    name: str


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_kept(tmp_path_factory.mktemp("kept") / "db", ENGINES) as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="w", max_retries=0) as client:
        yield client


def test_whole_answer(client: OpenAI) -> None:
    answer = client.responses.create(model="fake", input="hello there")
    assert ("hello there", "completed", "fake") == (answer.output_text, answer.status, answer.model)
    assert (3, 2, 5) == (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens)
    assert answer.id.startswith("resp_") and answer.output[0].id.startswith("msg_")


def test_instructions_and_items(client: OpenAI) -> None:
    given = [{"role": "user", "content": [{"type": "input_text", "text": "one two"}]}]
    answer = client.responses.create(model="fake", instructions="be very brief", input=given, metadata={"k": "v"})
    assert ("one two", 6, "be very brief") == (answer.output_text, answer.usage.input_tokens, answer.instructions)
    assert {"k": "v"} == answer.metadata


def test_thoughts_text_and_calls_whole(client: OpenAI) -> None:
    answer = client.responses.create(model="able", input="weather?", tools=[LOOK, NOW], parallel_tool_calls=True)
    assert ["reasoning", "message", "function_call", "function_call"] == [item.type for item in answer.output]
    thought, _, look, now = answer.output
    assert ("Paris, then Rome.", "Let me see.") == (thought.content[0].text, answer.output_text)
    assert [("toolu_1", "get_weather", {"city": "Paris"}), ("toolu_2", "now", {})] == [
        (call.call_id, call.name, json.loads(call.arguments)) for call in (look, now)
    ]


def test_the_answer_given_back_with_outputs_goes_on(client: OpenAI) -> None:
    first = client.responses.create(model="able", input="weather?", tools=[LOOK, NOW], store=False)
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
        for item in first.output
        if item.type == "function_call"
    ]
    said = [item.model_dump(exclude_none=True) for item in first.output]
    asked = {"role": "user", "content": "weather?"}
    again = client.responses.create(model="able", input=[asked, *said, *outputs], tools=[LOOK, NOW])
    assert "completed" == again.status
    assert again.usage.input_tokens > first.usage.input_tokens


def test_every_event_is_numbered_and_its_name_is_its_type(client: OpenAI) -> None:
    stream = client.responses.create(model="able", input="weather?", tools=[LOOK, NOW], stream=True)
    events = list(stream)
    assert list(range(len(events))) == [event.sequence_number for event in events]
    assert ["response.created", "response.in_progress"] == [event.type for event in events[:2]]
    assert "response.completed" == events[-1].type
    raw = client.responses.with_raw_response.create(model="fake", input="hi", stream=True)
    assert raw.headers["content-type"].startswith("text/event-stream")


def test_the_sdks_stream_helper_adds_up_to_the_whole(client: OpenAI) -> None:
    with client.responses.stream(model="able", input="weather?", tools=[LOOK, NOW]) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert ["Let me", "Let me see."] == snapshots
    whole = client.responses.create(model="able", input="weather?", tools=[LOOK, NOW])
    assert [said(item) for item in whole.output] == [said(item) for item in final.output]
    assert whole.usage == final.usage


def said(item: Any) -> tuple[str, str, Any]:
    """What an item says, whatever class the SDK has for it."""
    return item.type, item.status, item.arguments if item.type == "function_call" else item.content[0].text


def test_structured_output_is_parsed(client: OpenAI) -> None:
    assert Person(name="Ada") == client.responses.parse(model="json", input="who?", text_format=Person).output_parsed
    with client.responses.stream(model="json", input="who?", text_format=Person) as stream:
        assert Person(name="Ada") == stream.get_final_response().output_parsed


async def test_async_whole_and_streamed(address: str) -> None:
    async with AsyncOpenAI(base_url=address, api_key="w") as client:
        whole = await client.responses.create(model="fake", input="one two three")
        stream = await client.responses.create(model="fake", input="one two three", stream=True)
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        async with client.responses.stream(model="fake", input="one two three") as helped:
            final = await helped.get_final_response()
    assert "one two three" == whole.output_text == text == final.output_text


def test_a_strict_client_finds_nothing_to_complain_of(address: str) -> None:
    with OpenAI(base_url=address, api_key="w", _strict_response_validation=True) as client:
        answer = client.responses.create(
            model="able",
            input="weather?",
            tools=[LOOK, NOW],
            tool_choice="auto",
            include=["reasoning.encrypted_content"],
            reasoning={"effort": "low", "summary": "auto"},
        )
        client.responses.retrieve(answer.id)
        client.responses.input_items.list(answer.id)
        for _ in client.responses.create(model="able", input="weather?", tools=[LOOK, NOW], stream=True):
            pass
        client.responses.input_tokens.count(model="fake", input="hi")
        conversation = client.conversations.create(items=[{"role": "user", "content": "hi"}])
        client.conversations.items.list(conversation.id)


def test_thoughts_as_a_summary_and_as_a_code(client: OpenAI) -> None:
    include = ["reasoning.encrypted_content"]
    answer = client.responses.create(
        model="able", input="weather?", tools=[LOOK, NOW], include=include, reasoning={"summary": "auto"}, store=False
    )
    thought = answer.output[0]
    assert "Paris, then Rome." == thought.summary[0].text
    code = {"type": "reasoning", "id": thought.id, "summary": [], "encrypted_content": thought.encrypted_content}
    said = {"role": "assistant", "content": "So."}
    plain = client.responses.input_tokens.count(model="able", input=[said]).input_tokens
    with_code = client.responses.input_tokens.count(model="able", input=[code, said]).input_tokens
    assert 3 == with_code - plain  # the three words thought


def test_logprobs_are_given_with_the_text(client: OpenAI) -> None:
    include = ["message.output_text.logprobs"]
    answer = client.responses.create(model="scored", input="x", include=include, top_logprobs=1)
    entry = answer.output[0].content[0].logprobs[0]
    assert ("Hi", -0.5, [72, 105], "Hi") == (entry.token, entry.logprob, entry.bytes, entry.top_logprobs[0].token)
    events = client.responses.create(model="scored", input="x", include=include, stream=True)
    assert [["Hi"]] == [[e.token for e in event.logprobs] for event in events if event.type.endswith("text.delta")]


def test_input_tokens_are_what_the_answer_is_billed(client: OpenAI) -> None:
    asked = {"model": "able", "input": "weather today?", "instructions": "be brief", "tools": [LOOK]}
    counted = client.responses.input_tokens.count(**asked)
    assert "response.input_tokens" == counted.object
    assert client.responses.create(**asked).usage.input_tokens == counted.input_tokens


def test_a_cut_answer_is_incomplete_whole_and_streamed(client: OpenAI) -> None:
    answer = client.responses.create(model="cut", input="x")
    assert ("incomplete", "max_output_tokens") == (answer.status, answer.incomplete_details.reason)
    assert "incomplete" == answer.output[0].status
    assert "response.incomplete" == list(client.responses.create(model="cut", input="x", stream=True))[-1].type
    assert "one two" == client.responses.create(model="fake", input="one two three", max_output_tokens=2).output_text


def test_a_failure_in_a_stream_is_told_by_events(client: OpenAI) -> None:
    events = list(client.responses.create(model="broken", input="x", stream=True))
    assert ["response.output_item.done", "error", "response.failed"] == [event.type for event in events[-3:]]
    assert ("server_error", "it broke") == (events[-1].response.error.code, events[-1].response.error.message)
    assert "it broke" == events[-2].message
    assert list(range(len(events))) == [event.sequence_number for event in events]


def test_a_failure_of_a_whole_answer_is_an_error(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="it broke"):
        client.responses.create(model="broken", input="x")


@pytest.mark.parametrize("stream", [False, True])
def test_what_goes_wrong_before_the_first_event_is_an_ordinary_error(client: OpenAI, stream: bool) -> None:
    long = "word " * 5000
    for fields, status, code, param in [
        ({"model": "nope", "input": "x"}, 404, "model_not_found", None),
        ({"model": "fake", "input": long}, 400, "context_length_exceeded", "input"),
        ({"model": "fake", "input": "x", "tools": [LOOK]}, 400, "unsupported_value", "tools"),
        ({"model": "fake", "input": "x", "tools": [{"type": "web_search"}]}, 400, "unsupported_value", "tools[0]"),
        ({"model": "fake", "input": "x", "max_output_tokens": 5000}, 400, "invalid_value", "max_output_tokens"),
        (
            {"model": "fake", "input": "x", "text": {"format": {"type": "json_object"}}},
            400,
            "unsupported_value",
            "text.format",
        ),
        (
            {"model": "fake", "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            400,
            "unsupported_value",
            "input[0].content[0]",
        ),
    ]:
        with pytest.raises(openai.APIStatusError) as raised:
            client.responses.create(**fields, stream=stream)
        assert (status, code, param) == (raised.value.status_code, raised.value.code, raised.value.param)


def test_a_full_server_is_a_503_that_says_when_to_come_back(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        client.responses.create(model="full", input="x")
    assert (503, "3") == (raised.value.status_code, raised.value.response.headers["retry-after"])


def test_no_key_is_a_401(address: str) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        OpenAI(base_url=address, api_key="w", default_headers={"authorization": "none"}).responses.create(
            model="fake", input="x"
        )
    assert 401 == raised.value.status_code


def test_truncation_drops_the_oldest_items_and_says_which(client: OpenAI) -> None:
    items = [{"id": f"msg_{i}", "role": "user", "content": " ".join([str(i)] * 9)} for i in range(6)]
    answer = client.responses.create(model="small", input=items, truncation="auto", max_output_tokens=9)
    assert {"dropped_items": ["msg_0", "msg_1", "msg_2"]} == answer.model_extra["truncated"]
    assert (30, "5 5 5 5 5 5 5 5 5") == (answer.usage.input_tokens, answer.output_text)
    fits = client.responses.create(model="small", input=items[:3], truncation="auto")
    assert "truncated" not in (fits.model_extra or {})
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="small", input=items, truncation="disabled")
    assert ("context_length_exceeded", "input") == (raised.value.code, raised.value.param)
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="small", input="x " * 50, truncation="auto")
    assert "context_length_exceeded" == raised.value.code


def test_the_raw_response_carries_the_request_id_and_the_time_taken(client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="fake", input="x")
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.headers["openai-processing-ms"].isdigit()
