"""Limits as the official SDKs meet them: headers, refusals in each family's words, retries that succeed."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import anthropic
import httpx
import openai
import pytest

from haiga.core.access import Scope
from haiga.core.limits import Limits
from tests.wire.limited_server import Running, running

HELLO: Any = [{"role": "user", "content": "one two three"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as server:
        yield server


def claude(served: Running, key: str, retries: int = 0) -> anthropic.Anthropic:
    client = anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=retries)
    served.clients.append(client)
    return client


def gpt(served: Running, key: str, path: str = "/v1", retries: int = 0) -> openai.OpenAI:
    client = openai.OpenAI(base_url=served.url + path, api_key=key, max_retries=retries)
    served.clients.append(client)
    return client


def ask(client: anthropic.Anthropic, most: int = 5, **more: Any) -> Any:
    return client.messages.create(model="fake", max_tokens=most, messages=HELLO, **more)


def test_every_answer_of_anthropics_api_tells_where_the_caller_stands(served: Running) -> None:
    client = claude(served, served.key(limits=Limits(requests=10, input_tokens=100, output_tokens=50)))
    whole = client.messages.with_raw_response.create(model="fake", max_tokens=20, messages=HELLO).headers
    with client.messages.stream(model="fake", max_tokens=20, messages=HELLO) as stream:
        streamed = stream.response.headers
    start = "anthropic-ratelimit-"
    told = [[headers[f"{start}{kind}-remaining"] for headers in (whole, streamed)] for kind in ("requests", "tokens")]
    assert [["9", "8"], ["143", "119"]] == told  # whole: 4 in, 3 out; streamed: 20 more are reserved for output
    assert ("10", "100", "50", "150") == tuple(
        whole[f"{start}{kind}-limit"] for kind in ("requests", "input-tokens", "output-tokens", "tokens")
    )
    reset = datetime.fromisoformat(whole[f"{start}requests-reset"]).timestamp() - time.time()
    assert -1 < reset < 8


def test_every_answer_of_openais_api_tells_where_the_caller_stands(served: Running) -> None:
    client = gpt(served, served.key(limits=Limits(requests=10, output_tokens=60)))
    raw = client.chat.completions.with_raw_response.create(model="fake", messages=HELLO, max_tokens=20).headers
    names = ("limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens")
    assert ["10", "9", "60", "57"] == [raw[f"x-ratelimit-{name}"] for name in names]
    assert raw["x-ratelimit-reset-tokens"].endswith("s")


def test_a_caller_without_limits_is_told_of_none(served: Running) -> None:
    raw = claude(served, served.key()).messages.with_raw_response.create(model="fake", max_tokens=5, messages=HELLO)
    assert not [name for name in raw.headers if "ratelimit" in name]


def test_over_a_limit_each_family_says_so_in_its_own_words(served: Running) -> None:
    client = claude(served, served.key(limits=Limits(requests=1)))
    ask(client)
    with pytest.raises(anthropic.RateLimitError) as refused:
        ask(client)
    assert "rate_limit_error" == refused.value.body["error"]["type"]  # type: ignore[index]
    assert "limit of 1 requests per minute of this API key" in str(refused.value)
    assert 55 < int(refused.value.response.headers["retry-after"]) <= 60
    assert "0" == refused.value.response.headers["anthropic-ratelimit-requests-remaining"]

    key = served.key(limits=Limits(output_tokens=10))
    with pytest.raises(openai.RateLimitError) as limited:
        for _ in range(9):
            gpt(served, key).chat.completions.create(model="fake", messages=HELLO, max_tokens=8)
    assert ("tokens", "rate_limit_exceeded") == (limited.value.type, limited.value.code)

    with pytest.raises(openai.RateLimitError) as routed:
        for _ in range(9):
            gpt(served, key, "/api/v1").chat.completions.create(model="fake", messages=HELLO, max_tokens=8)
    assert 429 == routed.value.body["code"]  # type: ignore[index]
    assert "10" == routed.value.response.headers["x-ratelimit-limit"]


@pytest.mark.parametrize("sdk", ["anthropic", "openai"])
def test_an_sdk_that_obeys_retry_after_succeeds_at_its_first_retry(served: Running, sdk: str) -> None:
    key = served.key(limits=Limits(output_tokens=240))  # four a second
    ask(claude(served, key), 240, extra_body={"messages": [{"role": "user", "content": "word " * 240}]})
    if sdk == "anthropic":
        assert "one two three" == ask(claude(served, key, retries=1), 4).content[0].text
    else:
        client = gpt(served, key, retries=1)
        made = client.chat.completions.create(model="fake", messages=HELLO, max_tokens=4)
        assert "one two three" == made.choices[0].message.content


def test_a_stream_over_a_limit_is_an_ordinary_429(served: Running) -> None:
    client = claude(served, served.key(limits=Limits(requests=1)))
    ask(client)
    with pytest.raises(anthropic.RateLimitError), client.messages.stream(model="fake", max_tokens=5, messages=HELLO):
        pass


def test_keys_of_a_workspace_share_its_limits(served: Running) -> None:
    served.do(served.access.create_workspace("shared", Limits(requests=2)))
    for name in ("one", "other"):
        ask(claude(served, served.key(name, "shared")))
    with pytest.raises(anthropic.RateLimitError, match="workspace shared"):
        ask(claude(served, served.key("third", "shared")))


def test_several_answers_to_one_prompt_are_one_request(served: Running) -> None:
    client = gpt(served, served.key(limits=Limits(requests=2, output_tokens=100)))
    raw = client.chat.completions.with_raw_response.create(model="fake", messages=HELLO, n=3, max_tokens=30)
    assert ("1", "91") == tuple(raw.headers[f"x-ratelimit-remaining-{kind}"] for kind in ("requests", "tokens"))


def test_embeddings_are_limited(served: Running) -> None:
    client = gpt(served, served.key(limits=Limits(requests=1)))
    client.embeddings.create(model="vectors", input="text")
    with pytest.raises(openai.RateLimitError):
        client.embeddings.create(model="vectors", input="text")


# --- scopes ---


def test_a_key_asks_the_families_it_was_made_for(served: Running) -> None:
    key = served.key(scope=Scope(families=("openai",)))
    assert gpt(served, key).chat.completions.create(model="fake", messages=HELLO)
    with pytest.raises(anthropic.PermissionDeniedError) as denied:
        ask(claude(served, key))
    assert "permission_error" == denied.value.body["error"]["type"]  # type: ignore[index]
    with pytest.raises(openai.PermissionDeniedError, match="may not use the OpenRouter API"):
        gpt(served, key, "/api/v1").chat.completions.create(model="fake", messages=HELLO)


def test_models_out_of_scope_are_neither_listed_nor_answered(served: Running) -> None:
    key = served.key(scope=Scope(models=("vec*",)))
    assert ["vectors"] == [model.id for model in claude(served, key).models.list()]
    assert ["vectors"] == [model.id for model in gpt(served, key).models.list()]
    with pytest.raises(anthropic.PermissionDeniedError, match="may not use the model fake"):
        ask(claude(served, key))
    with pytest.raises(openai.PermissionDeniedError):
        gpt(served, key).chat.completions.create(model="fake", messages=HELLO)


def test_a_key_that_only_reads_asks_nothing(served: Running) -> None:
    key = served.key(readonly=True)
    assert claude(served, key).models.list().data
    with pytest.raises(anthropic.PermissionDeniedError, match="may only read"):
        ask(claude(served, key))
    assert 403 == httpx.delete(f"{served.url}/v1/responses/resp_1", headers={"x-api-key": key}).status_code


def test_responses_and_completions_are_limited_too(served: Running) -> None:
    for ask in (
        lambda client: client.responses.create(model="fake", input="one two three"),
        lambda client: client.completions.create(model="fake", prompt="one two three"),
    ):
        client = gpt(served, served.key(limits=Limits(requests=1)))
        ask(client)
        with pytest.raises(openai.RateLimitError) as refused:
            ask(client)
        assert "0" == refused.value.response.headers["x-ratelimit-remaining-requests"]
