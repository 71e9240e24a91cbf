"""OpenRouter's API, through the openai SDK (its documented client) and plain HTTP."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import httpx
import openai
import pytest
from openai import OpenAI

from haiga.core.errors import Busy, Failed
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Finished,
    InputDelta,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.core.records import Price
from haiga.engines.fake import CARD, FakeEngine
from tests.wire.openai_server import ABLE, services, serving

THINKING = (
    BlockStarted(0, Thinking("")),
    ThinkingDelta(0, "Well. "),
    ThinkingDelta(0, "Yes."),
    SignatureDelta(0, "sig"),
    BlockStopped(0),
    BlockStarted(1, Text("")),
    TextDelta(1, "It is."),
    BlockStopped(1),
    BlockStarted(2, ToolUse("call_1", "look", {})),
    InputDelta(2, '{"at": 1}'),
    BlockStopped(2),
    Finished("tool_use", Usage()),
)
FULL = FakeEngine(replace(CARD, name="full"), script=(Busy("the queue is full"),))
SMALL = FakeEngine(replace(CARD, name="small", context=3, max_output=3))
BREAKING = FakeEngine(
    replace(CARD, name="breaking"), script=(BlockStarted(0, Text("")), TextDelta(0, "so far"), Failed("burnt down"))
)
PRICES = {"fake": Price(Decimal("0.000002"), Decimal("0.00001"))}
ASKED = [{"role": "user", "content": "one two three"}]
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    engines = [FakeEngine(), FakeEngine(ABLE, THINKING), FULL, SMALL, BREAKING]
    with serving(replace(services(engines), prices=PRICES)) as url:
        yield f"{url}/api/v1"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="any", max_retries=0) as client:
        yield client


def post(address: str, **body: object) -> httpx.Response:
    return httpx.post(f"{address}/chat/completions", json={"messages": ASKED, **body})


def chunks(response: httpx.Response) -> list[dict[str, object]]:
    lines = [line for line in response.text.split("\n\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_whole_answer_has_cost_provider_and_native_reason(address: str) -> None:
    response = post(address, model="fake")
    body = response.json()
    assert body["id"] == response.headers["x-generation-id"]
    assert body["id"].startswith("gen-")
    assert ("Haiga", "fake") == (body["provider"], body["model"])
    assert ("stop", "end_turn") == (body["choices"][0]["finish_reason"], body["choices"][0]["native_finish_reason"])
    assert (4, 3, 0.000038) == tuple(body["usage"][name] for name in ("prompt_tokens", "completion_tokens", "cost"))
    assert 0.000008 == body["usage"]["cost_details"]["upstream_inference_prompt_cost"]


def test_reasoning_is_shown_signed_and_can_be_left_out(address: str) -> None:
    message = post(address, model="able", tools=[LOOK]).json()["choices"][0]["message"]
    assert "Well. Yes." == message["reasoning"]
    detail = {"type": "reasoning.text", "text": "Well. Yes.", "signature": "sig", "format": "unknown", "index": 0}
    assert [detail] == message["reasoning_details"]
    hidden = post(address, model="able", reasoning={"exclude": True}).json()["choices"][0]["message"]
    assert (None, False) == (hidden["reasoning"], "reasoning_details" in hidden)


def test_streamed_deltas_add_up_to_the_whole_answer(address: str) -> None:
    whole = post(address, model="able", tools=[LOOK]).json()["choices"][0]["message"]
    deltas = [
        chunk["choices"][0]["delta"] for chunk in chunks(post(address, model="able", stream=True)) if chunk["choices"]
    ]
    assert whole["content"] == "".join(delta.get("content") or "" for delta in deltas)
    assert whole["reasoning"] == "".join(delta.get("reasoning") or "" for delta in deltas)
    details = [detail for delta in deltas for detail in delta.get("reasoning_details", ())]
    assert ["Well. Yes.", "sig"] == ["".join(d.get(key, "") for d in details) for key in ("text", "signature")]
    assert '{"at": 1}' == "".join(
        call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", ())
    )


def test_stream_always_ends_with_usage_and_cost(client: OpenAI) -> None:
    last = list(client.chat.completions.create(model="fake", messages=ASKED, stream=True))[-1]
    assert ([], 3, 0.000038) == (last.choices, last.usage.completion_tokens, last.usage.cost)


def test_a_stream_opens_with_a_sign_of_life(address: str) -> None:
    assert post(address, model="fake", stream=True).text.startswith(": OPENROUTER PROCESSING\n\n")


@pytest.mark.parametrize("names", [["full", "fake"], ["nobody", "fake"], ["small", "full", "fake"]])
def test_the_next_model_answers_when_one_cannot(client: OpenAI, names: list[str]) -> None:
    asked = {"model": names[0], "messages": ASKED, "extra_body": {"models": names[1:]}}
    answer = client.chat.completions.create(**asked)
    assert ("fake", "one two three") == (answer.model, answer.choices[0].message.content)
    streamed = list(client.chat.completions.create(**asked, stream=True))
    assert {"fake"} == {chunk.model for chunk in streamed}
    assert "one two three" == "".join(c.choices[0].delta.content or "" for c in streamed if c.choices)


def test_a_prompt_too_long_for_a_small_model_loses_its_middle_and_the_answer_says_so(address: str) -> None:
    said = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"w{i}"} for i in range(9)]
    for fields in ({}, {"transforms": ["middle-out"]}, {"plugins": [{"id": "context-compression"}]}):
        body = post(address, model="small", messages=said, max_tokens=1, **fields).json()
        note = {"engine": "middle-out", "dropped_messages": 8, "dropped_characters": 0}
        assert ({"context_compression": note}, 2) == (body["openrouter_metadata"], body["usage"]["prompt_tokens"])
    last = chunks(post(address, model="small", messages=said, max_tokens=1, stream=True))[-1]
    assert {"context_compression": note} == last["openrouter_metadata"]


@pytest.mark.parametrize("fields", [{"transforms": []}, {"plugins": [{"id": "context-compression", "enabled": False}]}])
def test_compression_can_be_forbidden(address: str, fields: dict[str, object]) -> None:
    response = post(address, model="small", **fields)
    assert (400, True) == (response.status_code, "maximum context length" in response.json()["error"]["message"])


def test_a_prompt_that_fits_is_not_compressed(address: str) -> None:
    body = post(address, model="fake", transforms=["middle-out"], max_tokens=4000).json()
    assert ("one two three", False) == (body["choices"][0]["message"]["content"], "openrouter_metadata" in body)


def test_no_other_model_is_tried_where_fallbacks_are_forbidden(address: str) -> None:
    response = post(address, model="full", models=["fake"], provider={"allow_fallbacks": False})
    assert (529, 529) == (response.status_code, response.json()["error"]["code"])


def test_once_an_answer_has_begun_it_is_not_begun_again(address: str) -> None:
    body = chunks(post(address, model="breaking", models=["fake"], stream=True))
    assert {"breaking"} == {chunk["model"] for chunk in body}
    assert (502, "burnt down") == (body[-1]["error"]["code"], body[-1]["error"]["message"])
    assert "error" == body[-1]["choices"][0]["finish_reason"]


def test_the_sdk_raises_an_error_in_the_middle_of_a_stream(client: OpenAI) -> None:
    with pytest.raises(openai.APIError, match="burnt down"):
        list(client.chat.completions.create(model="breaking", messages=ASKED, stream=True))


@pytest.mark.parametrize("name", ["fake:nitro", "fake:floor", "fake:free", "haiga/fake"])
def test_names_with_variants_find_a_model(address: str, name: str) -> None:
    assert "fake" == post(address, model=name).json()["model"]


def test_the_auto_router_takes_the_cheapest_model_that_can_do_what_is_asked(address: str) -> None:
    assert "able" == post(address, model="openrouter/auto").json()["model"]
    dear = {"id": "auto-router", "excluded_models": ["able"], "allowed_models": ["fake"]}
    assert "fake" == post(address, model="openrouter/auto", plugins=[dear]).json()["model"]


def test_the_auto_router_keeps_to_the_patterns_it_is_given(address: str) -> None:
    plugin = {"id": "auto-router", "allowed_models": ["ab*"]}
    assert "able" == post(address, model="openrouter/auto", plugins=[plugin]).json()["model"]
    plugin = {"id": "auto-router", "allowed_models": ["gpt*"]}
    assert 404 == post(address, model="openrouter/auto", plugins=[plugin]).status_code


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "nobody"}, 400),
        ({}, 400),
        ({"model": "fake", "messages": []}, 400),
        ({"model": "fake", "plugins": [{"id": "web"}]}, 400),
        ({"model": "fake:online"}, 400),
        ({"model": "fake", "provider": {"only": ["openai"]}}, 404),
        ({"model": "fake", "provider": {"ignore": ["haiga"]}}, 404),
        ({"model": "fake", "provider": {"order": ["openai"], "allow_fallbacks": False}}, 404),
        ({"model": "fake", "provider": {"require_parameters": True}, "tools": [LOOK]}, 404),
        ({"model": "fake", "provider": {"max_price": {"completion": "1"}}}, 404),
        ({"model": "fake", "provider": {"max_price": {"completion": "cheap"}}}, 400),
    ],
)
def test_what_cannot_be_done_is_refused_in_this_apis_form(address: str, fields: dict[str, object], status: int) -> None:
    response = post(address, **fields)
    error = response.json()["error"]
    assert (status, status, str) == (response.status_code, error["code"], type(error["message"]))


@pytest.mark.parametrize(
    "fields",
    [
        {"provider": {"only": ["haiga"], "order": ["openai", "haiga"], "sort": "price", "quantizations": ["int4"]}},
        {"provider": {"require_parameters": True}, "temperature": 0.5, "seed": 1},
        {"provider": {"max_price": {"prompt": 2, "completion": "10"}}},
        {"transforms": ["middle-out"], "usage": {"include": True}, "route": "fallback"},
        {"plugins": [{"id": "context-compression", "enabled": False}, {"id": "web", "enabled": False}]},
        {"session_id": "s", "trace": {"a": 1}, "top_a": 0.5, "reasoning": {"effort": "high"}, "unheard_of": []},
        {"stream_options": {"include_usage": True}},
    ],
)
def test_what_applies_or_has_no_effect_is_taken(address: str, fields: dict[str, object]) -> None:
    assert 200 == post(address, model="fake", **fields).status_code


def test_an_unknown_generation_is_a_404(address: str) -> None:
    response = httpx.get(f"{address}/generation", params={"id": "gen-nope"})
    assert (404, 404) == (response.status_code, response.json()["error"]["code"])


def test_models_have_prices_as_strings_and_what_they_take(address: str) -> None:
    body = httpx.get(f"{address}/models").json()
    models = {model["id"]: model for model in body["data"]}
    assert 5 == body["total_count"] == len(models)
    assert ("0.000002", "0.00001") == (models["fake"]["pricing"]["prompt"], models["fake"]["pricing"]["completion"])
    assert "0" == models["able"]["pricing"]["prompt"]
    assert "tools" in models["able"]["supported_parameters"]
    assert "tools" not in models["fake"]["supported_parameters"]
    assert "text+image+file->text" == models["able"]["architecture"]["modality"]
    assert set(MODEL_KEYS) <= set(models["fake"])


def test_models_come_in_pages_that_link_to_the_next(address: str) -> None:
    seen, url = [], "/api/v1/models?limit=2"
    while url:
        body = httpx.get(address.removesuffix("/api/v1") + url).json()
        seen += [model["id"] for model in body["data"]]
        url = body["links"]["next"]
    assert ["fake", "able", "full", "small", "breaking"] == seen


def test_models_can_be_looked_for(address: str) -> None:
    def found(query: str) -> list[str]:
        return [model["id"] for model in httpx.get(f"{address}/models?{query}").json()["data"]]

    assert ["small"] == found("q=SMA")
    assert ["able"] == found("supported_parameters=tools,seed")
    assert 5 == httpx.get(f"{address}/models/count").json()["data"]["count"]
    link = httpx.get(f"{address}/model/able").json()["data"]["links"]["details"]
    endpoints = httpx.get(address.removesuffix("/api/v1") + link).json()["data"]["endpoints"]
    assert ["Haiga"] == [endpoint["provider_name"] for endpoint in endpoints]


def test_messages_answer_in_anthropics_form_without_its_header(address: str) -> None:
    body = {"model": "fake", "max_tokens": 10, "messages": ASKED}
    answer = httpx.post(f"{address}/messages", json=body).json()
    assert ("message", "one two three") == (answer["type"], answer["content"][0]["text"])
    wrong = httpx.post(f"{address}/messages", json={**body, "max_tokens": "many"})
    assert (400, "invalid_request_error") == (wrong.status_code, wrong.json()["error"]["type"])


MODEL_KEYS = (
    "id", "canonical_slug", "name", "created", "context_length", "architecture", "pricing", "top_provider",
    "per_request_limits", "supported_parameters", "default_parameters", "supported_voices", "links",
)  # fmt: skip
