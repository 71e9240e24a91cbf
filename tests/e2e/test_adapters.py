"""Adapters of a served model: named by settings, loaded and unloaded while it serves, each with answers of its own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from haiga.text.tokenizer import Tokenizer
from tests.adapters import make_adapter, merged
from tests.checkpoints import load_reference
from tests.e2e.test_serve import Server, serving
from tests.served import make_model

PROMPT = "The quick brown fox jumps over the lazy dog and runs through the wood."
COUNT = 6
PRICES = "models.tiny = {input = 1, output = 2}\nmodels.red = {input = 10, output = 30}\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("adapted") / "base")


@pytest.fixture(scope="module")
def red(base: Path) -> Path:
    return make_adapter(base.parent / "red", base, ("q_proj", "v_proj"), rank=4, seed=1, spread=0.4)


@pytest.fixture(scope="module")
def blue(base: Path) -> Path:
    return make_adapter(base.parent / "blue", base, ("q_proj", "v_proj"), rank=2, seed=2, spread=0.4)


@pytest.fixture(scope="module")
def server(base: Path, red: Path, blue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("data")
    (data / "prices.toml").write_text(PRICES)
    flags = ("--no-starter", "--model", f"tiny={base}", "--adapter", f"red=tiny:{red}", "--model", f"blue={blue}")
    with serving(data, *flags, "--prices", str(data / "prices.toml")) as server:
        yield server


def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0, timeout=60)


def asked(server: Server, model: str) -> list[float]:
    """The log probabilities of the greedy answer's tokens."""
    done = client(server).completions.create(
        model=model, prompt=PROMPT, max_tokens=COUNT, temperature=0, logprobs=1, extra_body={"ignore_eos": True}
    )
    assert model == done.model
    logprobs = done.choices[0].logprobs
    assert logprobs and logprobs.token_logprobs
    return [value for value in logprobs.token_logprobs if value is not None]


def expected(model: Any, base: Path) -> list[float]:
    """The same, by transformers."""
    tokens, found = list(Tokenizer.load(base).encode(PROMPT)), []
    for _ in range(COUNT):
        with torch.no_grad():
            scores = model(torch.tensor([tokens])).logits[0, -1].log_softmax(0)
        tokens.append(int(scores.argmax()))
        found.append(float(scores.max()))
    return found


def assert_close(wanted: Sequence[float], actual: Sequence[float]) -> None:
    np.testing.assert_allclose(actual, wanted[: len(actual)], atol=2e-3)
    assert actual


def test_every_adapter_answers_for_itself_in_one_batch(server: Server, base: Path, red: Path, blue: Path) -> None:
    wanted = {name: expected(model, base) for name, model in models(base, red, blue).items()}
    assert abs(wanted["red"][0] - wanted["tiny"][0]) > 0.05
    names = ["red", "tiny", "blue"] * 4
    with ThreadPoolExecutor(len(names)) as pool:
        for name, actual in zip(names, pool.map(lambda name: asked(server, name), names), strict=True):
            assert_close(wanted[name], actual)


def models(base: Path, red: Path, blue: Path) -> dict[str, Any]:
    return {"tiny": load_reference(base), "red": merged(base, red), "blue": merged(base, blue)}


def test_adapters_are_listed_with_their_parent(server: Server) -> None:
    listed = {model["id"]: model.get("parent") for model in httpx.get(f"{server.url}/v1/models").json()["data"]}
    assert {"tiny": None, "red": "tiny", "blue": "tiny"} == listed


def test_one_of_other_layers_is_loaded_and_unloaded_while_the_server_answers(
    server: Server, base: Path, red: Path
) -> None:
    green = make_adapter(base.parent / "green", base, rank=6, seed=3)
    engines, before = server.engines(), asked(server, "red")
    loaded = httpx.post(f"{server.url}/v1/load_lora_adapter", json={"lora_name": "green", "lora_path": str(green)})
    assert (200, "Success: LoRA adapter 'green' added successfully.") == (loaded.status_code, loaded.text)
    assert_close(expected(merged(base, green), base), asked(server, "green"))
    assert before == asked(server, "red")
    assert engines == server.engines()
    again = httpx.post(f"{server.url}/v1/load_lora_adapter", json={"lora_name": "green", "lora_path": str(red)})
    assert (400, "lora_name") == (again.status_code, again.json()["error"]["param"])
    instead = {"lora_name": "green", "lora_path": str(red), "load_inplace": True}
    assert 200 == httpx.post(f"{server.url}/v1/load_lora_adapter", json=instead).status_code
    assert before == asked(server, "green")
    assert 200 == httpx.post(f"{server.url}/v1/unload_lora_adapter", json={"lora_name": "green"}).status_code
    with pytest.raises(openai.NotFoundError):
        asked(server, "green")
    assert 404 == httpx.post(f"{server.url}/v1/unload_lora_adapter", json={"lora_name": "green"}).status_code
    assert 404 == httpx.post(f"{server.url}/v1/unload_lora_adapter", json={"lora_name": "tiny"}).status_code
    lines = httpx.get(f"{server.url}/v1/organization/audit_logs", params={"resource_ids[]": "green"}).json()["data"]
    assert ["adapter.unloaded", "adapter.loaded", "adapter.loaded"] == [line["type"] for line in lines]


def test_what_is_cached_under_one_adapter_is_not_given_to_another(server: Server) -> None:
    def reused(model: str) -> int:
        answer = server.ask(PROMPT * 2, model=model, max_tokens=1)
        return answer.usage.cache_read_input_tokens or 0

    assert [0, 0, 0] == [reused(model) for model in ("tiny", "red", "blue")]
    assert all(reused(model) > 0 for model in ("tiny", "red", "blue"))


def test_usage_is_counted_under_the_adapter_s_name(server: Server) -> None:
    asked(server, "blue")
    samples = [
        sample
        for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
        for sample in family.samples
        if sample.labels.get("model") == "blue"
    ]
    assert any(sample.name == "haiga_generation_tokens_total" and sample.value >= COUNT for sample in samples)


def test_an_adapter_costs_what_its_own_name_costs(server: Server) -> None:
    for model, (given, made) in {"tiny": (1, 2), "red": (10, 30), "blue": (0, 0)}.items():
        body = {"model": model, "messages": [{"role": "user", "content": f"to {model}"}], "max_tokens": 4}
        answer = httpx.post(f"{server.url}/api/v1/chat/completions", json=body, timeout=60).json()
        record = httpx.get(f"{server.url}/api/v1/generation", params={"id": answer["id"]}).json()["data"]
        tokens = answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
        assert (tokens[0] * given + tokens[1] * made) / 1e6 == pytest.approx(answer["usage"]["cost"])
        assert (answer["usage"]["cost"], True) == (record["total_cost"], record["model"].endswith(model))


def test_the_library_keeps_an_adapter_with_its_base(base: Path, red: Path, tmp_path: Path) -> None:
    def haiga(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("haiga")), *arguments, "--data-dir", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    for source, name in ((base, "mine"), (red, "red")):
        assert f"added {name}" in haiga("models", "add", str(source), "--name", name).stderr
    assert "LoRA adapter of mine" in haiga("models", "show", "red").stdout
    answer = haiga("run", "red", "hello", "--max-tokens", "4", "--temperature", "0")
    assert (0, "") == (answer.returncode, answer.stderr)
