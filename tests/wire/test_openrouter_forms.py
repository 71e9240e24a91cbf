"""OpenRouter's Messages, Responses and Embeddings: the other APIs' forms, routed among models, and their costs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from haiga.engines.fake import VECTORS, FakeEmbedder, FakeEngine
from tests.unit.wire.openai_responses.told import frames
from tests.wire.openai_server import ABLE, services, serving
from tests.wire.test_openrouter import ASKED, BREAKING, FULL, PRICES, SMALL, THINKING

MESSAGE: dict[str, Any] = {"max_tokens": 10, "messages": ASKED}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    engines = [FakeEngine(), FakeEngine(ABLE, THINKING), FULL, SMALL, BREAKING]
    made = services(engines, embedders=[FakeEmbedder(), FakeEmbedder(replace(VECTORS, name="fake"))])
    with serving(replace(made, prices=PRICES)) as url:
        yield f"{url}/api/v1"


def post(address: str, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{address}/{path}", json=body)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "full", "models": ["nobody", "fake"]},
        {"models": ["small", "fake"], "transforms": []},
        {"model": "full", "fallbacks": [{"model": "haiga/fake:nitro"}]},
        {"model": "openrouter/auto", "plugins": [{"id": "auto-router", "allowed_models": ["fa*"]}]},
    ],
)
def test_the_first_model_that_can_answers_messages_and_responses(address: str, fields: dict[str, Any]) -> None:
    message = post(address, "messages", **MESSAGE, **fields)
    assert ("fake", "one two three") == (message.json()["model"], message.json()["content"][0]["text"])
    assert message.json()["id"] == message.headers["x-generation-id"]
    response = post(address, "responses", input="one two three", **fields).json()
    assert ("fake", "one two three") == (response["model"], response["output"][0]["content"][0]["text"])
    assert (0.000038, False) == (response["usage"]["cost"], response["store"])


def test_the_sdks_read_the_streams(address: str) -> None:
    with Anthropic(base_url=address.removesuffix("/v1"), api_key="x", max_retries=0) as anthropic:
        asked: Any = {**MESSAGE, "model": "full", "extra_body": {"models": ["fake"]}}
        with anthropic.messages.stream(**asked) as stream:
            assert ("one two three", "fake") == (stream.get_final_text(), stream.get_final_message().model)
    with OpenAI(base_url=address, api_key="x", max_retries=0) as openai:
        with openai.responses.stream(model="full", input="one two three", extra_body={"models": ["fake"]}) as told:
            final = list(told)[-1]
        assert ("response.completed", "one two three") == (final.type, final.response.output_text)
        assert 0.000038 == final.response.usage.cost


def test_a_response_streamed_is_the_whole_one(address: str) -> None:
    asked = {"model": "able", "input": "x", "tools": [{"type": "function", "name": "look", "parameters": {}}]}
    whole = post(address, "responses", **asked).json()
    told = list(frames(post(address, "responses", **asked, stream=True).content))
    assert list(range(len(told))) == [event["sequence_number"] for event in told]
    last = told[-1]["response"]
    assert [item["type"] for item in whole["output"]] == [item["type"] for item in last["output"]]
    assert whole["usage"] == last["usage"]


def test_a_conversation_that_does_not_fit_loses_its_middle(address: str) -> None:
    said = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"w{i}"} for i in range(9)]
    assert "w8" == post(address, "messages", model="small", max_tokens=1, messages=said).json()["content"][0]["text"]
    body = post(address, "responses", model="small", max_output_tokens=1, input=said).json()
    assert "w8" == body["output"][0]["content"][0]["text"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": None}, 400),
        ({"model": "nobody"}, 404),
        ({"model": "full"}, 529),
        ({"model": "fake", "provider": {"only": ["openai"]}}, 404),
        ({"model": "fake", "provider": {"max_price": {"prompt": 1}}}, 404),
        ({"model": "fake", "plugins": [{"id": "web"}]}, 400),
        ({"model": "fake", "models": ["able"], "fallbacks": [{"model": "able"}]}, 400),
        ({"model": "fake", "fallbacks": [{"model": "a"}] * 4}, 400),
    ],
)
def test_what_cannot_be_done_is_refused_in_each_forms_own_shape(
    address: str, fields: dict[str, Any], status: int
) -> None:
    message = post(address, "messages", **MESSAGE, **fields)
    assert (status, "error") == (message.status_code, message.json()["type"])
    response = post(address, "responses", input="x", **fields)
    assert response.json()["error"]["code"] == response.status_code
    assert response.status_code in (status, 400)


@pytest.mark.parametrize(
    "fields", [{"previous_response_id": "resp_1"}, {"input": [{"id": "msg_1"}]}, {"background": True}]
)
def test_nothing_is_kept_between_responses(address: str, fields: dict[str, Any]) -> None:
    answer = post(address, "responses", **{"model": "fake", "input": "x", **fields})
    assert (404, True) == (answer.status_code, "nothing is kept" in answer.json()["error"]["message"])


@pytest.mark.parametrize("path", ["messages", "responses"])
def test_a_failure_in_the_middle_of_a_stream_ends_it_in_the_forms_own_way(address: str, path: str) -> None:
    asked = {**MESSAGE, "input": "x"} if path == "responses" else MESSAGE
    text = post(address, path, model="breaking", stream=True, **asked).text
    assert "so far" in text and "burnt down" in text
    assert text.endswith("\n\n")


def test_embeddings_say_what_they_cost(address: str) -> None:
    body = post(address, "embeddings", model="haiga/fake", input="one two", encoding_format="float").json()
    assert {"prompt_tokens": 2, "total_tokens": 2, "cost": 0.000004} == body["usage"]
    plain = httpx.post(f"{address.replace('/api', '')}/embeddings", json={"model": "fake", "input": "one two"}).json()
    assert {"prompt_tokens": 2, "total_tokens": 2} == plain["usage"]


def test_credits_and_providers_are_told(address: str) -> None:
    assert {"total_credits": None, "total_usage": 0.0} == httpx.get(f"{address}/credits").json()["data"]
    assert ["haiga"] == [each["slug"] for each in httpx.get(f"{address}/providers").json()["data"]]
