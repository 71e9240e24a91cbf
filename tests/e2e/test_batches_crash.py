"""A batch outlives its server and its engine: killed at random moments, every line has one result."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.e2e.test_serve import serving
from tests.served import make_model

LINES = 200
DISTINCT = 160  # the others are identical to one of these


class Victim:
    """A server of batches that may be killed and started again."""

    def __init__(self, data: Path, model: Path) -> None:
        self._data, self._model, self.log = data, model, data / "begun.txt"
        self._process: subprocess.Popen[str] | None = None
        self.log.touch()

    def start(self) -> anthropic.Anthropic:
        command = [sys.executable, "-m", "tests.e2e.batch_server", *map(str, (self._data, self._model, self.log))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, "the server did not start"
        return anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="any", max_retries=0)

    def kill(self) -> None:
        assert self._process is not None
        with self._process:
            self._process.kill()

    def kill_engine(self) -> None:
        assert self._process is not None
        found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)

    def stored(self) -> set[str]:
        """The texts of the lines that have a result in the database."""
        with closing(sqlite3.connect(self._data / "haiga.db")) as database:
            rows = database.execute("SELECT custom_id FROM batch_lines WHERE result IS NOT NULL").fetchall()
        return {text_of(custom_id) for (custom_id,) in rows}

    def wait_for(self, results: int) -> None:
        while len(self.stored()) < results:
            time.sleep(0.01)

    def begun(self) -> list[str]:
        return self.log.read_text().splitlines()


def text_of(custom_id: str) -> str:
    return f"tell {int(custom_id.removeprefix('line-')) % DISTINCT}"


def lines() -> list[Any]:
    def params(custom_id: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": text_of(custom_id)}]
        return {"model": "tiny", "max_tokens": 40, "temperature": 0, "messages": messages}

    names = [f"line-{i}" for i in range(LINES)]
    return [{"custom_id": name, "params": params(name)} for name in names]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    victim = Victim(tmp_path, make_model(tmp_path / "model"))
    yield victim
    victim.kill()


def test_every_line_has_one_result_whatever_is_killed(victim: Victim) -> None:
    chance = random.Random(4)
    client = victim.start()
    old = {"anthropic-version": "2023-06-01"}
    id = client.messages.batches.create(requests=lines(), extra_headers=old).id
    marks: list[tuple[int, set[str]]] = []
    moments = iter(sorted(chance.sample(range(1, DISTINCT * 3 // 4), 6)))
    for _ in range(3):
        victim.wait_for(next(moments))
        victim.kill_engine()
        victim.wait_for(next(moments))
        victim.kill()
        marks.append((len(victim.begun()), victim.stored()))
        client = victim.start()
    while client.messages.batches.retrieve(id).processing_status != "ended":
        time.sleep(0.1)
    results = list(client.messages.batches.results(id))

    assert sorted(f"line-{i}" for i in range(LINES)) == sorted(result.custom_id for result in results)
    assert [] == [result for result in results if result.result.type != "succeeded"]
    assert LINES - DISTINCT == sum(hasattr(result.result.message.usage, "haiga_reused") for result in results)  # type: ignore[union-attr]
    answers = {(text_of(result.custom_id), str(result.result.message.content)) for result in results}  # type: ignore[union-attr]
    assert DISTINCT == len(answers)
    begun = victim.begun()
    for mark, stored in marks:
        assert set() == stored.intersection(begun[mark:])
    assert any(len(stored) < DISTINCT for _, stored in marks)  # the kills came while there was something to do


def test_the_starter_answers_a_batch_and_a_stopped_server_goes_on_with_it(tmp_path: Path) -> None:
    def ask(name: str, text: str, tokens: int) -> Any:
        params = {"model": "starter", "max_tokens": tokens, "messages": [{"role": "user", "content": text}]}
        return {"custom_id": name, "params": params}

    with serving(tmp_path) as server:
        batches = server.client.messages.batches
        id = batches.create(requests=[ask("a", "Hello!", 20), ask("b", "Tell me a story.", 20)]).id
        while batches.retrieve(id).processing_status != "ended":
            time.sleep(0.05)
        results = {result.custom_id: result.result for result in batches.results(id)}
        assert {"succeeded"} == {result.type for result in results.values()}
        long = batches.create(requests=[ask(f"l{i}", f"Count to {i}.", 400) for i in range(60)]).id
    with serving(tmp_path) as server:
        batches = server.client.messages.batches
        assert id == batches.retrieve(id).id
        batches.cancel(long)
        while (ended := batches.retrieve(long)).processing_status != "ended":
            time.sleep(0.05)
        assert 60 == ended.request_counts.succeeded + ended.request_counts.canceled
        assert 60 == len(list(batches.results(long)))
