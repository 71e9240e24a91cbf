"""Embeddings through the official openai SDK, and with any body."""

import asyncio
import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from haiga.engines.fake import FakeEmbedder, FakeEngine
from haiga.web.app import WebSettings, create_app
from tests.wire.openai_server import services, serving

SERVED = services([FakeEngine()], embedders=[FakeEmbedder()])
APP = create_app(services([FakeEngine()], embedders=[FakeEmbedder()], settings=WebSettings(open=False)))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(SERVED) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


def test_the_four_shapes_of_an_input(client: OpenAI) -> None:
    for asked, answers in (("a b", 1), (["a", "b c"], 2), ([1, 2], 1), ([[1, 2], [3]], 2)):
        made = client.embeddings.create(model="vectors", input=asked)
        assert list(range(answers)) == [item.index for item in made.data]
        assert [4] * answers == [len(item.embedding) for item in made.data]
        assert ("vectors", "list") == (made.model, made.object)


def test_numbers_and_base64_are_the_same_vector_to_the_bit(client: OpenAI) -> None:
    asked = {"model": "vectors", "input": "one two 3"}
    numbers = client.embeddings.create(**asked, encoding_format="float").data[0].embedding
    packed = client.embeddings.create(**asked, encoding_format="base64").data[0].embedding
    assert numbers == list(struct.unpack("<4f", base64.b64decode(packed)))  # type: ignore[arg-type]
    assert numbers == client.embeddings.create(**asked).data[0].embedding


def test_what_is_used_is_what_was_counted(client: OpenAI) -> None:
    usage = client.embeddings.create(model="vectors", input=["one two", "three"]).usage
    assert (3, 3) == (usage.prompt_tokens, usage.total_tokens)


def test_fewer_dimensions_are_the_first_ones_at_unit_length(client: OpenAI) -> None:
    whole = client.embeddings.create(model="vectors", input="one two 3").data[0].embedding
    part = client.embeddings.create(model="vectors", input="one two 3", dimensions=2).data[0].embedding
    length = (whole[0] ** 2 + whole[1] ** 2) ** 0.5
    assert pytest.approx([whole[0] / length, whole[1] / length]) == part


def test_openrouters_path_gives_the_same_and_the_cost(url: str) -> None:
    asked = {"model": "vectors", "input": "a"}
    first, second = (httpx.post(f"{url}{path}/v1/embeddings", json=asked).json() for path in ("", "/api"))
    assert 0 == second["usage"].pop("cost")
    assert first == second


def test_both_kinds_of_models_are_listed(client: OpenAI) -> None:
    assert ["fake", "vectors"] == [model.id for model in client.models.list()]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": ""}, "input", "empty_string"),
        ({"input": []}, "input", "empty_array"),
        ({"input": ["a", ""]}, "input[1]", "empty_string"),
        ({"input": [[1], []]}, "input[1]", "empty_array"),
        ({"input": {"text": "a"}}, "input", "invalid_type"),
        ({"input": [1, "a"]}, "input[0]", "invalid_type"),
        ({"input": [[1, -2]]}, "input", "invalid_type"),
        ({"input": ["a"] * 2049}, "input", "array_above_max_length"),
        ({"input": ["a", "w " * 5000]}, "input[1]", "context_length_exceeded"),
        ({"dimensions": 5}, "dimensions", "invalid_value"),
        ({"dimensions": 0}, "dimensions", "integer_below_min_value"),
        ({"encoding_format": "int8"}, "encoding_format", "invalid_value"),
        ({"model": "fake"}, "model", "unsupported_value"),
    ],
)
def test_what_is_refused_names_its_field(client: OpenAI, fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(**{"model": "vectors", "input": "a", **fields})
    assert (param, code) == (raised.value.param, raised.value.code)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.embeddings.create(model="none", input="a")
    assert "model_not_found" == raised.value.code


def test_a_model_that_makes_embeddings_alone_refuses_to_write(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="vectors makes embeddings only") as raised:
        client.chat.completions.create(model="vectors", messages=[{"role": "user", "content": "a"}])
    assert "model" == raised.value.param
    with pytest.raises(openai.BadRequestError, match="vectors makes embeddings only"):
        client.completions.create(model="vectors", prompt="a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("vectors") | JSON,
        "input": st.lists(st.integers(0, 99) | st.text(max_size=5), max_size=4) | st.text(max_size=9) | JSON,
        "dimensions": st.integers(1, 4) | JSON,
        "encoding_format": st.sampled_from(["float", "base64"]) | JSON,
    },
)


@given(BODY)
@settings(max_examples=150, deadline=None)
def test_any_body_is_answered_or_refused(body: dict[str, Any]) -> None:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/v1/embeddings", content=json.dumps(body))

    answer = asyncio.run(post())
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]
