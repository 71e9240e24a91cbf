"""`haiga batch run` against a running server: results whole, and an interruption is no loss."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire.batch_server import Counting, serving_batches

ENGINE = tuple[str, Counting]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ENGINE]:
    engine = Counting()
    with serving_batches(tmp_path / "db", [engine]) as url:
        yield url, engine


def requests(file: Path, *texts: str) -> Path:
    lines = (
        {
            "custom_id": f"c{i}",
            "params": {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": text}]},
        }
        for i, text in enumerate(texts)
    )
    file.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    return file


def command(url: str, file: Path) -> "subprocess.Popen[str]":
    line = [str(Path(sys.executable).with_name("haiga")), "batch", "run", str(file), "--url", url]
    environment = {**os.environ, "HAIGA_API_KEY": "team"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def told(file: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {line["custom_id"]: line["result"]["message"]["content"][0]["text"] for line in lines}


def test_a_file_of_requests_becomes_a_file_of_results(served: ENGINE, tmp_path: Path) -> None:
    url, _ = served
    with command(url, requests(tmp_path / "many.jsonl", "one", "two")) as running:
        output, complaints = running.communicate(timeout=60)
    results = tmp_path / "many.results.jsonl"
    assert (0, f"2 succeeded, 0 errored, 0 canceled, 0 expired: {results}\n") == (running.returncode, output)
    assert {"c0": "one", "c1": "two"} == told(results), complaints
    assert [] == [path.name for path in tmp_path.iterdir() if path.suffix in (".state", ".part")]


def test_the_same_command_goes_on_after_an_interruption(served: ENGINE, tmp_path: Path) -> None:
    url, engine = served
    engine.gate.clear()
    file = requests(tmp_path / "many.jsonl", "one", "two")
    with command(url, file) as running:
        while not (state := tmp_path / "many.results.jsonl.state").exists():
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
    assert (130, True) == (running.returncode, "the same command comes back to it" in complaints)
    requests(tmp_path / "other.jsonl", "else").replace(file)
    with command(url, file) as running:
        assert "is of another input or server" in running.communicate(timeout=60)[1]
    assert state.exists()
    engine.gate.set()
    with command(url, requests(file, "one", "two")) as running:
        running.communicate(timeout=60)
    assert {"c0": "one", "c1": "two"} == told(tmp_path / "many.results.jsonl")
    assert ["one", "two"] == sorted(engine.said)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{}", "requests.0.custom_id: Field required"), ("", "requests: List should have"), ("{", "not valid JSON")],
)
def test_what_is_wrong_is_one_clear_line(served: ENGINE, tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    with command(served[0], file) as running:
        output, complaints = running.communicate(timeout=60)
    assert (1, "", 1) == (running.returncode, output, len(complaints.splitlines()))
    assert complaint in complaints


def test_a_missing_file_and_a_missing_server_are_named(tmp_path: Path) -> None:
    with command("http://127.0.0.1:9", tmp_path / "none.jsonl") as running:
        assert "none.jsonl: No such file" in running.communicate(timeout=60)[1]
    with command("http://127.0.0.1:9", requests(tmp_path / "a.jsonl", "x")) as running:
        assert "no answer from http://127.0.0.1:9" in running.communicate(timeout=60)[1]


def filed(file: Path, *texts: str, url: str = "/v1/chat/completions") -> Path:
    bodies = ({"model": "fake", "messages": [{"role": "user", "content": text}]} for text in texts)
    lines = ({"custom_id": f"c{i}", "method": "POST", "url": url, "body": body} for i, body in enumerate(bodies))
    file.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    return file


def said(file: Path) -> dict[str, Any]:
    bodies = {each["custom_id"]: each["response"]["body"] for each in map(json.loads, file.read_text().splitlines())}
    return {id: body["choices"][0]["message"]["content"] for id, body in bodies.items() if "choices" in body}


def test_a_file_of_openai_s_requests_is_known_by_its_lines(served: ENGINE, tmp_path: Path) -> None:
    url, engine = served
    engine.gate.clear()
    file = filed(tmp_path / "many.jsonl", "one", "two")
    results = tmp_path / "many.results.jsonl"
    with command(url, file) as running:
        while not (tmp_path / "many.results.jsonl.state").exists():
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    engine.gate.set()
    with command(url, file) as running:
        output, complaints = running.communicate(timeout=60)
    assert (0, f"2 completed, 0 failed: {results}\n") == (running.returncode, output), complaints
    assert {"c0": "one", "c1": "two"} == said(results)
    assert ["one", "two"] == sorted(engine.said)
    assert [] == [path.name for path in tmp_path.iterdir() if path.suffix in (".state", ".part")]


def test_what_is_wrong_with_openai_s_lines_is_told_and_begun_anew(served: ENGINE, tmp_path: Path) -> None:
    file = filed(tmp_path / "many.jsonl", "one", "two", url="/v1/completions")
    file.write_text(file.read_text() + "{")
    with command(served[0], file) as running:
        assert "line 4: This line is not parseable as valid JSON." in running.communicate(timeout=60)[1]
    with command(served[0], filed(tmp_path / "many.jsonl", "one")) as running:
        assert running.communicate(timeout=60)[0].startswith("1 completed, 0 failed")
    with command(served[0], filed(tmp_path / "other.jsonl", "one", url="/v1/none")) as running:
        assert "'/v1/none'" in running.communicate(timeout=60)[1]
