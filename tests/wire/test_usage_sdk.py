"""What requests used and cost, as callers and administrators are told."""

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from typer.testing import CliRunner

from haiga.cli import app
from haiga.core.access import Scope
from haiga.core.limits import DOLLAR, Limits
from haiga.engines.fake import CARD, FakeEngine
from tests.wire.limited_server import Running, running

ASKED: Any = [{"role": "user", "content": "one two three"}]
PRICES = "[models.fake]\ninput = 2\noutput = 10\n"  # an answer to ASKED: 4 in, 3 out, 0.000038 dollars


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    (made / "prices.toml").write_text(PRICES)
    return made


@pytest.fixture(scope="module")
def served(directory: Path) -> Iterator[Running]:
    engines = [FakeEngine(), FakeEngine(replace(CARD, name="slow"), pace=0.05)]
    with running(directory, engines, prices=str(directory / "prices.toml")) as server:
        yield server


def gpt(served: Running, key: str, path: str = "/v1") -> openai.OpenAI:
    client = openai.OpenAI(base_url=served.url + path, api_key=key, max_retries=0)
    served.clients.append(client)
    return client


def claude(served: Running, key: str) -> anthropic.Anthropic:
    client = anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=0)
    served.clients.append(client)
    return client


def generation(served: Running, key: str, id: str) -> httpx.Response:
    return httpx.get(f"{served.url}/api/v1/generation", params={"id": id}, headers={"x-api-key": key})


# --- OpenRouter ---


def test_a_generation_is_remembered_with_all_its_keys(served: Running) -> None:
    key = served.key("router", "routers")
    headers = {"http-referer": "https://example.org/", "user-agent": "me", "authorization": f"Bearer {key}"}
    body = {"model": "openrouter/auto", "messages": ASKED, "stream": True, "user": "ann", "session_id": "s1"}
    body["plugins"] = [{"id": "auto-router", "allowed_models": ["fake"]}]  # of the two the one that has a price
    response = httpx.post(f"{served.url}/api/v1/chat/completions", json=body, headers=headers)
    data = generation(served, key, response.headers["x-generation-id"]).json()["data"]
    assert GENERATION_KEYS == set(data)
    expected = {
        "model": "fake", "router": "openrouter/auto", "streamed": True, "cancelled": False, "finish_reason": "stop",
        "native_finish_reason": "end_turn", "tokens_prompt": 4, "tokens_completion": 3, "total_cost": 0.000038,
        "external_user": "ann", "session_id": "s1", "user_agent": "me", "http_referer": "https://example.org/",
        "request_id": response.headers["x-request-id"],
    }  # fmt: skip
    assert expected == {name: data[name] for name in expected}
    assert 0 <= data["latency"] <= data["generation_time"]
    assert 404 == generation(served, served.key("another", "elsewhere"), data["id"]).status_code


def test_a_generation_of_several_choices_is_told_whole(served: Running) -> None:
    key = served.key("router", "routers")
    raw = gpt(served, key, "/api/v1").chat.completions.with_raw_response.create(model="fake", messages=ASKED, n=2)
    data = generation(served, key, raw.headers["x-generation-id"]).json()["data"]
    assert (4, 6, 0.000068) == (data["tokens_prompt"], data["tokens_completion"], data["total_cost"])
    assert 0.000068 == json.loads(raw.text)["usage"]["cost"]


def test_an_answer_whose_reader_went_away_is_remembered_as_cancelled(served: Running) -> None:
    key = served.key("router", "routers")
    body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "word " * 200}]}
    headers = {"authorization": f"Bearer {key}"}
    with httpx.stream("POST", f"{served.url}/api/v1/chat/completions", json=body, headers=headers) as response:
        lines = response.iter_lines()
        assert any('"content":"word' in line for line in lines)
    id = response.headers["x-generation-id"]
    assert eventually(lambda: generation(served, key, id).status_code == 200)
    data = generation(served, key, id).json()["data"]
    assert (True, None) == (data["cancelled"], data["finish_reason"])


def eventually(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_a_key_tells_what_it_spent_and_what_it_may(served: Running) -> None:
    key = served.key("spender", limits=Limits(budget=DOLLAR // 10, requests=9))
    gpt(served, key, "/api/v1").chat.completions.create(model="fake", messages=ASKED)
    data = httpx.get(f"{served.url}/api/v1/key", headers={"x-api-key": key}).json()["data"]
    assert {0.000038} == {data[span] for span in ("usage", "usage_daily", "usage_weekly", "usage_monthly")}
    assert (0.1, 0.099962, "monthly", 9) == (
        data["limit"], data["limit_remaining"], data["limit_reset"], data["rate_limit"]["requests"]
    )  # fmt: skip


# --- budgets ---


def test_over_a_budget_each_family_says_so_and_sdks_do_not_try_again(served: Running) -> None:
    key = served.key("poor", limits=Limits(budget=100_000))  # an answer of up to 9 tokens costs 98,000 at most
    ask: Any = {"model": "fake", "max_tokens": 9, "messages": ASKED}
    claude(served, key).messages.create(**ask)
    with pytest.raises(anthropic.APIStatusError) as refused:
        claude(served, key).messages.create(**ask)
    assert (402, "billing_error") == (refused.value.status_code, refused.value.body["error"]["type"])  # type: ignore[index]
    assert "false" == refused.value.response.headers["x-should-retry"]
    with pytest.raises(openai.RateLimitError) as quota:
        gpt(served, key).chat.completions.create(**ask)
    assert "insufficient_quota" == quota.value.code
    with pytest.raises(openai.APIStatusError) as routed:
        gpt(served, key, "/api/v1").chat.completions.create(**ask)
    assert 402 == routed.value.status_code


# --- the command ---


def test_the_command_adds_up_by_key_model_and_day(directory: Path, served: Running) -> None:
    key = served.key("counted", "counting")
    for _ in range(2):
        claude(served, key).messages.create(model="fake", max_tokens=9, messages=ASKED)
    gpt(served, key).chat.completions.create(model="fake", messages=ASKED, n=2)

    def rows(*flags: str) -> list[list[str]]:
        command = ["usage", "--workspace", "counting", "--csv", "--data-dir", str(directory), *flags]
        return list(csv.reader(io.StringIO(CliRunner().invoke(app, command).stdout)))

    assert eventually(lambda: len(rows()) > 1 and rows()[1][1] == "3")
    assert [
        ["model", "requests", "input", "cache write", "cache read", "output", "images", "dollars"],
        ["fake", "3", "12", "0", "0", "12", "0", "0.000144"],
    ] == rows()
    assert "3" == rows("--by", "day")[1][1]
    assert rows("--by", "key")[1][0].startswith("counted (key_")
    assert [["anthropic", "2"], ["openai", "1"]] == [row[:2] for row in rows("--by", "family")[1:]]


# --- batches, shutdown ---


def test_lines_of_a_batch_are_recorded_for_its_key_at_half_the_price_and_held_to_its_scope(served: Running) -> None:
    key = served.key("batcher", "batching", scope=Scope(models=("fake",)), limits=Limits(requests=1, budget=DOLLAR))
    messages = claude(served, key).messages
    requests: Any = [
        {"custom_id": name, "params": {"model": name, "max_tokens": 9, "messages": ASKED}} for name in ("fake", "slow")
    ]
    batch = messages.batches.create(requests=requests)
    assert eventually(lambda: messages.batches.retrieve(batch.id).processing_status == "ended")
    results = {line.custom_id: line.result for line in messages.batches.results(batch.id)}
    assert ("succeeded", "errored") == (results["fake"].type, results["slow"].type)
    assert "permission_error" == results["slow"].error.error.type  # type: ignore[union-attr]
    data = httpx.get(f"{served.url}/api/v1/key", headers={"x-api-key": key}).json()["data"]
    assert 0.000019 == data["usage"]
    assert messages.create(model="fake", max_tokens=9, messages=ASKED)  # the batch took nothing from the minute


def test_everything_recorded_is_kept_at_a_shutdown(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        key, headers = server.key(), {"anthropic-version": "2023-06-01"}
        with httpx.Client(base_url=server.url, headers={**headers, "x-api-key": key}) as client:
            for _ in range(40):
                client.post("/v1/messages", json={"model": "fake", "max_tokens": 5, "messages": ASKED})
    told = CliRunner().invoke(app, ["usage", "--csv", "--data-dir", str(tmp_path)]).stdout
    assert ["fake", "40"] == list(csv.reader(io.StringIO(told)))[1][:2]


GENERATION_KEYS = {
    "api_type", "app_id", "cache_discount", "cancelled", "created_at", "data_region", "external_user", "finish_reason",
    "generation_time", "http_referer", "id", "is_byok", "latency", "model", "moderation_latency",
    "native_finish_reason", "native_tokens_cached", "native_tokens_completion", "native_tokens_completion_images",
    "native_tokens_prompt", "native_tokens_reasoning", "num_fetches", "num_input_audio_prompt", "num_media_completion",
    "num_media_prompt", "num_search_results", "origin", "preset_id", "provider_name", "provider_responses",
    "request_id", "response_cache_source_id", "router", "service_tier", "session_id", "streamed", "tokens_completion",
    "tokens_prompt", "total_cost", "upstream_id", "upstream_inference_cost", "usage", "user_agent", "web_search_engine",
}  # fmt: skip
