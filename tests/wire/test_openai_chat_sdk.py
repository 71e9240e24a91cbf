"""The official openai SDK, as it stands, is a client of this server."""

import json
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from haiga.core.errors import Busy, Failed
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Finished,
    InputDelta,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
)
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.engines.fake import FakeEngine
from tests.wire.openai_server import ABLE, services, serving

NONE = Usage()
CALLING = (
    BlockStarted(0, Thinking("")),
    ThinkingDelta(0, "Paris, then Rome."),
    BlockStopped(0),
    BlockStarted(1, Text("")),
    TextDelta(1, "Let me"),
    TextDelta(1, " see."),
    BlockStopped(1),
    BlockStarted(2, ToolUse("toolu_1", "get_weather", {})),
    InputDelta(2, '{"city": '),
    InputDelta(2, '"Paris"}'),
    BlockStopped(2),
    BlockStarted(3, ToolUse("toolu_2", "now", {})),
    BlockStopped(3),
    Finished("tool_use", NONE),
)
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
NOW = {"type": "function", "function": {"name": "now"}}
ASKED = [{"role": "user", "content": "what is the weather"}]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(services([FakeEngine(), FakeEngine(ABLE, CALLING)])) as url:
        yield url


@pytest.fixture
def client(address: str) -> OpenAI:
    return OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)


def test_whole_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "hello there"}])
    assert ("hello there", "stop") == (answer.choices[0].message.content, answer.choices[0].finish_reason)
    assert answer.id.startswith("chatcmpl-")
    assert (3, 2, 5) == (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens)


def test_stream_without_usage(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": "one two three"}], stream=True
        )
    )
    assert "assistant" == chunks[0].choices[0].delta.role
    assert "one two three" == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "stop" == chunks[-1].choices[0].finish_reason
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_stream_with_usage_ends_with_it_and_is_null_before(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="fake",
            messages=[{"role": "user", "content": "one two"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [] == chunks[-1].choices
    assert (3, 2) == (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens)
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])


def test_several_choices_whole_and_streamed(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "a b"}]
    answer = client.chat.completions.create(model="fake", messages=messages, n=3, seed=7)
    assert [(0, "a b"), (1, "a b"), (2, "a b")] == [(c.index, c.message.content) for c in answer.choices]
    assert (3, 6) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    said = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(model="fake", messages=messages, n=3, stream=True):
        said[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert {0: "a b", 1: "a b", 2: "a b"} == said


def test_tool_calls_whole(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="able", messages=ASKED, tools=[WEATHER, NOW])
    message = answer.choices[0].message
    assert ("Let me see.", "tool_calls") == (message.content, answer.choices[0].finish_reason)
    assert [("toolu_1", "get_weather", {"city": "Paris"}), ("toolu_2", "now", {})] == [
        (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls
    ]
    assert "Paris, then Rome." == message.reasoning_content


def test_the_sdks_accumulator_reads_streamed_tool_calls(client: OpenAI) -> None:
    with client.chat.completions.stream(model="able", messages=ASKED, tools=[WEATHER, NOW]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert [(0, "get_weather", '{"city": "Paris"}'), (1, "now", "{}")] == [
        (event.index, event.name, event.arguments) for event in done
    ]
    assert "tool_calls" == final.choices[0].finish_reason
    assert "Let me see." == final.choices[0].message.content


def test_older_functions_are_called_by_function_call(client: OpenAI) -> None:
    functions = [{"name": "get_weather", "parameters": {"type": "object", "properties": {}}}]
    answer = client.chat.completions.create(model="able", messages=ASKED, functions=functions)
    assert "function_call" == answer.choices[0].finish_reason
    assert ("get_weather", '{"city":"Paris"}') == (
        answer.choices[0].message.function_call.name,
        answer.choices[0].message.function_call.arguments,
    )
    chunks = list(client.chat.completions.create(model="able", messages=ASKED, functions=functions, stream=True))
    pieces = [call for chunk in chunks if (call := chunk.choices[0].delta.function_call)]
    assert ("get_weather", '{"city": "Paris"}') == (pieces[0].name, "".join(call.arguments for call in pieces))


def test_raw_response_carries_the_request_id(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="fake", messages=ASKED)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.headers["openai-processing-ms"].isdigit()


async def test_async_whole_and_streamed(address: str) -> None:
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="any") as client:
        answer = await client.chat.completions.create(model="fake", messages=ASKED)
        stream = await client.chat.completions.create(model="fake", messages=ASKED, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert answer.choices[0].message.content == text == "what is the weather"


def test_strict_client_finds_nothing_to_complain_of(address: str) -> None:
    with OpenAI(base_url=f"{address}/v1", api_key="any", _strict_response_validation=True) as client:
        client.chat.completions.create(model="able", messages=ASKED, tools=[WEATHER, NOW])
        options = {"include_usage": True}
        for _ in client.chat.completions.create(model="fake", messages=ASKED, stream=True, stream_options=options):
            pass


def test_logprobs_are_given_with_the_tokens() -> None:
    tokens = (TokenLogprob(5, "Hi", -0.5, ((5, "Hi", -0.5), (6, "Ho", float("-inf")))),)
    script = (BlockStarted(0, Text("")), TextDelta(0, "Hi", tokens), BlockStopped(0))
    with serving(services([FakeEngine(script=script)])) as url, OpenAI(base_url=f"{url}/v1", api_key="x") as client:
        answer = client.chat.completions.create(model="fake", messages=ASKED, logprobs=True, top_logprobs=2)
        chunks = list(client.chat.completions.create(model="fake", messages=ASKED, logprobs=True, stream=True))
    token = answer.choices[0].logprobs.content[0]
    assert ("Hi", -0.5, [72, 105]) == (token.token, token.logprob, token.bytes)
    assert [("Hi", -0.5), ("Ho", -9999.0)] == [(top.token, top.logprob) for top in token.top_logprobs]
    streamed = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    assert [["Hi"]] == [[entry.token for entry in logprobs.content] for logprobs in streamed]


def test_unknown_model_is_a_404_with_its_code(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-nope", messages=ASKED)
    assert "model_not_found" == raised.value.code


def test_prompt_over_the_context_is_a_400_with_its_code(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "word " * 5000}])
    assert ("context_length_exceeded", "messages") == (raised.value.code, raised.value.param)


def test_missing_and_wrong_keys_are_401() -> None:
    with serving(services(key="right")) as url:
        with pytest.raises(openai.AuthenticationError) as raised:
            OpenAI(base_url=f"{url}/v1", api_key="wrong").chat.completions.create(model="fake", messages=ASKED)
        assert "invalid_api_key" == raised.value.code
        OpenAI(base_url=f"{url}/v1", api_key="right").chat.completions.create(model="fake", messages=ASKED)


def test_a_full_server_is_a_503_that_says_when_to_come_back() -> None:
    engine = FakeEngine(script=(Busy("the queue is full", retry_after=2.5),))
    with serving(services([engine])) as url, OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(model="fake", messages=ASKED)
        assert (503, "3") == (raised.value.status_code, raised.value.response.headers["retry-after"])


def test_a_failure_in_the_middle_of_a_stream_is_raised_by_the_sdk() -> None:
    script = (BlockStarted(0, Text("")), TextDelta(0, "so far"), Failed("the cache burnt down"))
    with serving(services([FakeEngine(script=script)])) as url, OpenAI(base_url=f"{url}/v1", api_key="x") as client:
        stream = client.chat.completions.create(model="fake", messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="the cache burnt down"):
            for _ in stream:
                pass


def test_what_the_model_cannot_do_names_the_callers_own_field(client: OpenAI) -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    ]
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="fake", messages=messages)
    assert "messages[1].content[0]" == raised.value.param
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="fake", messages=ASKED, response_format={"type": "json_object"})
    assert "response_format" == raised.value.param
