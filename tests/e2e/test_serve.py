"""The whole product: `haiga serve` as a process, a real socket, the starter model, the official SDK as client."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.checkpoints import make_embedder
from tests.served import make_model, write_tokenizer

OLD = {"anthropic-version": "2023-06-01"}
GREEDY = {"temperature": 0}


class Server:
    """A running `haiga serve`, and what it printed when it was ready."""

    def __init__(self, process: "subprocess.Popen[str]", announced: str) -> None:
        self.process = process
        self.announced = announced
        (self.url,) = re.findall(r"haiga \S+ at (http://\S+)", announced)
        self.client = anthropic.Anthropic(base_url=self.url, api_key="any", max_retries=0, timeout=120)

    def ask(self, text: str, **more: Any) -> anthropic.types.Message:
        """The greedy answer to one question."""
        settings: dict[str, Any] = {"model": "starter", "max_tokens": 30, **more}
        messages = [{"role": "user", "content": text}]
        return self.client.messages.create(**{"messages": messages, **settings}, extra_headers=OLD, extra_body=GREEDY)

    def engines(self) -> list[int]:
        """Process ids of the engine processes."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]


@contextmanager
def serving(data: Path, *flags: str, errors: Path | None = None) -> Iterator[Server]:
    """`errors` is where its standard error goes."""
    command = [str(Path(sys.executable).with_name("haiga")), "serve", "--port", "0", "--data-dir", str(data), *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HAIGA_")}
    with (
        errors.open("w") if errors else nullcontext() as told,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "curl" not in lines[-1]:
            line = process.stdout.readline()
            assert line, "the server ended before it was ready"
            lines.append(line)
        try:
            yield Server(process, "".join(lines))
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("data"), "--alias", "claude-*=starter") as server:
        yield server


def test_the_printed_curl_line_works_when_pasted(server: Server) -> None:
    line = server.announced.strip().splitlines()[-1]
    answer = json.loads(subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout)
    assert ("message", "assistant", "starter") == (answer["type"], answer["role"], answer["model"])
    assert answer["content"][0]["text"]


def test_a_stream_adds_up_to_the_whole(server: Server) -> None:
    whole = server.ask("Tell me a story about a fox.")
    messages = [{"role": "user", "content": "Tell me a story about a fox."}]
    with server.client.messages.stream(
        model="starter", max_tokens=30, messages=messages, extra_headers=OLD, extra_body=GREEDY
    ) as stream:
        streamed = stream.get_final_message()
    assert [block.text for block in whole.content] == [block.text for block in streamed.content]
    assert whole.stop_reason == streamed.stop_reason
    assert whole.usage.output_tokens == streamed.usage.output_tokens


def test_an_alias_answers_under_the_model_s_own_name(server: Server) -> None:
    assert "starter" == server.ask("Hello!", model="claude-3-5-haiku-latest").model


def test_metrics_count_what_was_answered(server: Server) -> None:
    answer = server.ask("Hello there!")
    samples = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
        for sample in family.samples
    }
    assert samples["haiga_requests_total", "anthropic", "starter", "succeeded", "standard"] >= 1
    assert samples["haiga_generation_tokens_total", "starter", "standard"] >= answer.usage.output_tokens
    assert samples["haiga_computed_tokens_total", "starter"] > 0


def test_the_starter_is_listed_first(server: Server) -> None:
    assert "starter" == next(iter(server.client.models.list())).id
    assert "starter" == server.client.models.retrieve("claude-anything").id


def test_count_tokens_is_what_is_billed(server: Server) -> None:
    conversation: dict[str, Any] = {
        "system": [{"type": "text", "text": "Be brief. " * 20, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": "Who are you? <|im_end|>"},
            {"role": "assistant", "content": "I am a small model."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Why? " * 30, "cache_control": {"type": "ephemeral"}}],
            },
        ],
    }
    counted = server.client.messages.count_tokens(model="starter", **conversation).input_tokens
    for expect_reading in (False, True):
        usage = server.client.messages.create(model="starter", max_tokens=1, **conversation).usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        assert counted == usage.input_tokens + read + written
        assert expect_reading == (read > 0) == (written == 0)


def test_the_two_cache_lifetimes_are_told_apart(server: Server) -> None:
    def block(text: str, ttl: str) -> dict[str, Any]:
        return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}

    system = [block("An hour of this. " * 40, "1h")]
    messages = [{"role": "user", "content": [block("Minutes of that. " * 40, "5m")]}]
    usage = server.client.messages.create(model="starter", max_tokens=1, system=system, messages=messages).usage
    assert usage.cache_creation is not None
    hour, minutes = usage.cache_creation.ephemeral_1h_input_tokens, usage.cache_creation.ephemeral_5m_input_tokens
    assert usage.cache_creation_input_tokens == hour + minutes
    assert min(hour, minutes) >= 32
    assert usage.input_tokens < 64  # the rest after the last full block, and the template's own end


def test_a_prefill_is_continued(server: Server) -> None:
    messages = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "I am"}]
    answer = server.ask("", messages=messages).content[0]
    assert answer.type == "text"
    assert not answer.text.startswith("I am")


def test_a_prompt_far_longer_than_those_of_the_training_is_answered(server: Server) -> None:
    text = "The old man walked to the sea and sat down. " * 700
    usage = server.ask(text + "\nWho walked to the sea?", max_tokens=8).usage
    assert usage.input_tokens > 6_000
    assert usage.output_tokens >= 1


def test_a_killed_engine_is_an_error_in_the_stream_and_the_next_request_is_answered(server: Server) -> None:
    before = server.ask("What is a cat?").content
    (engine,) = server.engines()
    body = {"model": "starter", "max_tokens": 4000, "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
    # a stop string keeps nothing back here; min length is not guaranteed, so the engine is killed on the first event
    with httpx.stream("POST", f"{server.url}/v1/messages", json=body, headers=OLD, timeout=30) as response:
        events = response.iter_lines()
        assert "event: message_start" == next(events)
        os.kill(engine, signal.SIGKILL)
        rest = list(events)
    assert "event: error" in rest or "event: message_stop" in rest
    assert 200 == httpx.get(f"{server.url}/health").status_code
    assert before == server.ask("What is a cat?").content
    assert [engine] != server.engines()


def test_an_unknown_model_is_not_found_with_a_request_id(server: Server) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        server.ask("Hello", model="gpt-9")
    assert "model: gpt-9" in caught.value.message
    assert (caught.value.request_id or "").startswith("req_")


def test_sigterm_lets_a_running_answer_end(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        body = {
            "model": "starter",
            "max_tokens": 60,
            "stream": True,
            "messages": [{"role": "user", "content": "Tell me"}],
        }
        with httpx.stream("POST", f"{server.url}/v1/messages", json=body, headers=OLD, timeout=30) as response:
            events = response.iter_lines()
            assert "event: message_start" == next(events)
            server.process.send_signal(signal.SIGTERM)
            rest = list(events)
        assert "event: message_stop" in rest
        assert 0 == server.process.wait(30)


def test_models_take_turns_under_a_memory_budget(tmp_path: Path) -> None:
    one, two = (make_model(tmp_path / name) for name in ("one", "two"))
    flags = ("--no-starter", "--model", f"one={one}", "--model", f"two={two}", "--memory-budget", "400MB")
    with serving(tmp_path / "data", *flags) as server:
        first = server.ask("x", model="one", max_tokens=4).content
        server.ask("x", model="two", max_tokens=4)
        assert 1 == len(server.engines())
        assert first == server.ask("x", model="one", max_tokens=4).content


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("haiga")), "serve", "--port", "0", "--data-dir", str(tmp_path)]
    ended = subprocess.run([*command, "--model", "a=/nowhere"], capture_output=True, text=True, check=False)
    assert (1, "") == (ended.returncode, ended.stdout)
    assert 1 == len(ended.stderr.strip().splitlines())
    assert "/nowhere" in ended.stderr


def test_an_encoder_is_added_and_served_beside_a_model_that_makes_embeddings_too(tmp_path: Path) -> None:
    encoder = make_embedder(tmp_path / "encoder", "bert", vocab_size=261)
    write_tokenizer(encoder)
    haiga, data = str(Path(sys.executable).with_name("haiga")), str(tmp_path / "data")
    add = [haiga, "models", "add", str(encoder), "--name", "library", "--weights", "int8", "--data-dir", data]
    subprocess.run(add, check=True, capture_output=True)
    decoder = make_model(tmp_path / "decoder")
    with serving(
        tmp_path / "data", "--no-starter", "--model", f"mini={encoder}", "--model", f"tiny={decoder}"
    ) as server:
        for model in ("mini", "tiny", "library"):
            asked = {"model": model, "input": ["a frog", "a pond"], "encoding_format": "float"}
            made = httpx.post(f"{server.url}/v1/embeddings", json=asked, timeout=60).json()
            assert [64, 64] == [len(item["embedding"]) for item in made["data"]]
        assert "embeddings of 64 numbers, texts of up to 512 tokens" in server.announced


def test_a_queue_that_is_full_says_when_to_come_back_in_each_api_s_words(tmp_path: Path) -> None:
    asked = {"model": "starter", "max_tokens": 200, "messages": [{"role": "user", "content": "Tell me a story."}]}

    async def storm(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            claude = [client.post("/v1/messages", json=asked, headers=OLD) for _ in range(60)]
            gpt = [client.post("/v1/chat/completions", json=asked) for _ in range(60)]
            return await asyncio.gather(*(each for pair in zip(claude, gpt, strict=True) for each in pair))

    with serving(tmp_path, "--max-queue", "2") as server:
        answers = asyncio.run(storm(server.url))
        statuses = {answer.status_code for answer in answers}
        assert {200, 503, 529} == statuses
        for refused in (answer for answer in answers if answer.status_code != 200):
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert "the queue of model starter is full (2 requests wait)" in refused.json()["error"]["message"]
        assert "overloaded_error" in {
            answer.json()["error"].get("type") for answer in answers if answer.status_code == 529
        }
        assert server.ask("Hello!").content
