"""Bare prompts and embeddings of another server: asked and read in OpenAI's own forms, by its SDK."""

from array import array
from base64 import b64encode
from typing import Any

import openai
import pytest

from tests.far_server import Answer, Asked, stream, whole
from tests.wire.upstreams.served import Fronted, fronted

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
SCORES = {
    "tokens": [" one", " two"],
    "token_logprobs": [-0.5, -1.0],
    "top_logprobs": [{" one": -0.5, " uno": -2.0}, {" two": -1.0}],
    "text_offset": [0, 4],
}


def chunk(text: str, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": None} | more
    return {"id": "cmpl-far", "object": "text_completion", "created": 1, "model": "far", "choices": [choice]}


def completion(asked: Asked) -> Answer:
    last = chunk("", finish_reason="length")
    return stream(chunk(" one"), chunk(" two"), last, {"choices": [], "usage": USAGE}, b"data: [DONE]\n\n")


def vectors(asked: Asked) -> Answer:
    """The first text's number in each, the last text first, as base64 and as numbers in turn."""
    made: list[Any] = [[float(i), 0.5] for i in range(len(asked.body["input"]))]
    told = [b64encode(array("f", each).tobytes()).decode() if i % 2 else each for i, each in enumerate(made)]
    data = [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(told)]
    return whole(
        {"object": "list", "data": data[::-1], "model": "far", "usage": {"prompt_tokens": 9}}, x_request_id="r"
    )


def sdk(through: Fronted) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{through.near.base_url}/v1".replace("//v1", "/v1"), api_key="any", max_retries=0)


def test_a_bare_prompt_reaches_the_upstream_as_it_was_written_and_its_answer_comes_back() -> None:
    with fronted("openai", completion) as through, sdk(through) as client:
        made = client.completions.create(
            model="gpt-far", prompt="Count:", max_tokens=2, suffix="!", stop=["."], extra_body={"ignore_eos": True}
        )
        body = through.far.asked[-1].body
    assert (" one two", "length", 5, 2) == (
        made.choices[0].text,
        made.choices[0].finish_reason,
        made.usage and made.usage.prompt_tokens,
        made.usage and made.usage.completion_tokens,
    )
    assert {
        "model": "gpt-far",
        "prompt": "Count:",
        "max_tokens": 2,
        "suffix": "!",
        "stop": ["."],
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    } == body


def test_token_ids_and_several_prompts_are_a_question_each_and_a_stream_is_passed_on() -> None:
    with fronted("openai", completion) as through, sdk(through) as client:
        asked = client.completions.create(model="gpt-far", prompt=[[1, 2], [3]], max_tokens=2, stream=True)
        said = [(each.choices[0].index, each.choices[0].text) for each in asked if each.choices[0].text]
        prompts = sorted(each.body["prompt"] for each in through.far.asked)
    assert [(0, " one"), (0, " two"), (1, " one"), (1, " two")] == sorted(said, key=lambda pair: pair[0])
    assert [[1, 2], [3]] == prompts


@pytest.mark.parametrize("streamed", [False, True])
def test_log_probabilities_of_a_bare_prompt_are_the_upstream_s(streamed: bool) -> None:
    one = chunk(" one two", logprobs=SCORES, finish_reason="stop") | {"usage": USAGE}
    answer = stream(one, b"data: [DONE]\n\n") if streamed else whole(one)
    with fronted("openai", lambda _: answer) as through, sdk(through) as client:
        made = client.completions.create(model="gpt-far", prompt="Count:", logprobs=2)
        assert 2 == through.far.asked[-1].body["logprobs"]
    assert made.choices[0].logprobs is not None
    assert SCORES == made.choices[0].logprobs.model_dump()


@pytest.mark.parametrize("far", [whole({"choices": "no"}), stream(chunk(" one"), cut=True), stream({"error": "full"})])
def test_a_bare_prompt_whose_answer_makes_no_sense_fails_and_names_the_upstream(far: Answer) -> None:
    with fronted("openai", lambda _: far) as through:
        answer = through.near.post("/v1/completions", json={"model": "gpt-far", "prompt": "hi"})
    assert (500, True) == (answer.status_code, "openai" in answer.text)


def test_anthropic_takes_neither_and_says_so() -> None:
    with fronted("anthropic", completion) as through:
        prompt = through.near.post("/v1/completions", json={"model": "claude-far", "prompt": "hi"})
        texts = through.near.post("/v1/embeddings", json={"model": "claude-far", "input": "hi"})
        assert [] == through.far.asked
    said = [(answer.status_code, answer.json()["error"]["message"]) for answer in (prompt, texts)]
    assert [
        (400, "claude-far takes conversations only, no bare prompts"),
        (400, "model claude-far makes no embeddings"),
    ] == said


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_texts_come_back_as_vectors_in_their_order_however_the_upstream_writes_them(encoding: Any) -> None:
    with fronted("openai", vectors) as through, sdk(through) as client:
        asked = client.embeddings.with_raw_response.create(
            model="gpt-far", input=["a", "b", "c"], dimensions=2, encoding_format=encoding
        )
        body = through.far.asked[-1].body
    made = asked.parse()
    assert {"model": "gpt-far", "input": ["a", "b", "c"], "dimensions": 2, "encoding_format": "base64"} == body
    first = [each.embedding for each in made.data]
    if encoding == "base64":
        wanted: list[Any] = [b64encode(array("f", [i, 0.5]).tobytes()).decode() for i in range(3)]
    else:
        wanted = [[i, 0.5] for i in range(3)]
    assert (wanted, 9) == (first, made.usage.prompt_tokens)
    assert ("openai", "r") == (asked.headers["haiga-provider"], asked.headers["haiga-provider-request-id"])


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"embedding": [1.0]}],
        [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}],
        [{"embedding": []}, {"embedding": []}],
        [{"embedding": "?"}, {"embedding": "?"}],
        [{"embedding": ["a"]}, {"embedding": [1e60]}],
        [1, 2],
        "no",
    ],
)
def test_vectors_that_make_no_sense_are_a_failure_of_the_upstream(data: Any) -> None:
    with fronted("openai", lambda _: whole({"data": data})) as through:
        answer = through.near.post("/v1/embeddings", json={"model": "gpt-far", "input": ["a", "b"]})
    assert (500, True) == (answer.status_code, "openai answered with something else" in answer.text)


def test_what_the_upstream_refuses_is_told_in_its_words() -> None:
    refused = whole({"error": {"message": "no such width", "type": "invalid_request_error"}}, 400)
    with fronted("openai", lambda _: refused) as through:
        answer = through.near.post("/v1/embeddings", json={"model": "gpt-far", "input": "a", "dimensions": 7})
    assert (400, "no such width") == (answer.status_code, answer.json()["error"]["message"])


def test_an_offline_server_refuses_both_by_name() -> None:
    with fronted("openai", vectors, offline=True, url="https://far.example/v1") as through:
        texts = through.near.post("/v1/embeddings", json={"model": "gpt-far", "input": "hi"})
        prompt = through.near.post("/v1/completions", json={"model": "gpt-far", "prompt": "hi"})
    assert ["upstream_offline"] * 2 == [answer.json()["error"]["code"] for answer in (texts, prompt)]
