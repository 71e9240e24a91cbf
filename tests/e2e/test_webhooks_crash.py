"""Webhooks outlive their server: killed at random moments, it tells of every end, and of nothing else."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Timer

import httpx
import pytest

from tests.wire.receiver import receiving

KILLS, VERSION = 3, {"anthropic-version": "2023-06-01"}
TYPES = ["message_batch.ended", "response.completed", "response.failed"]


class Victim:
    """A server that is killed, and started again on the same data."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> httpx.Client:
        command = [sys.executable, "-m", "tests.e2e.webhook_server", str(self._data)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, "the server did not start"
        return httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", headers=VERSION, timeout=60)

    def kill(self) -> None:
        assert self._process is not None
        with self._process:
            self._process.kill()

    def ended(self) -> set[tuple[str, str]]:
        """Type and subject of every event that the database says there was."""
        batches = self._read("SELECT id FROM batches WHERE status = 'ended'")
        responses = self._read("SELECT status, id FROM responses WHERE background")
        assert not {status for status, _ in responses} & {"queued", "in_progress"}
        return {("message_batch.ended", id) for (id,) in batches} | {(f"response.{how}", id) for how, id in responses}

    def busy(self) -> int:
        unended = "SELECT count(*) FROM batches WHERE status IN ('in_progress', 'canceling')"
        unanswered = "SELECT count(*) FROM responses WHERE status IN ('queued', 'in_progress')"
        unsent = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'"
        return sum(self._read(query)[0][0] for query in (unended, unanswered, unsent))

    def _read(self, query: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self._data / "haiga.db")) as database:
            return database.execute(query).fetchall()


def work(client: httpx.Client) -> None:
    """A batch and a response in the background."""
    message = {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "one two three"}]}
    lines = [{"custom_id": f"c{i}", "params": message} for i in range(3)]
    client.post("/messages/batches", json={"requests": lines}).raise_for_status()
    asked = {"model": "fake", "input": "one two three", "background": True}
    client.post("/responses", json=asked).raise_for_status()


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    victim = Victim(tmp_path)
    yield victim
    victim.kill()


def test_every_end_is_told_and_nothing_else_whenever_the_server_is_killed(victim: Victim) -> None:
    chance = random.Random(7)
    with receiving() as receiver:
        asked = {"name": "n", "url": receiver.url, "event_types": TYPES}
        for round_ in range(KILLS):
            with victim.start() as client:
                if not round_:
                    client.post("/webhook_endpoints", json=asked).raise_for_status()
                killing = Timer(chance.uniform(0.1, 0.8), victim.kill)
                killing.start()
                with suppress(httpx.TransportError):
                    while True:
                        work(client)
                killing.join()
        with victim.start() as client:
            work(client)
        while victim.busy():
            time.sleep(0.05)
        told = defaultdict(set)
        for headers, body in receiver.heard:
            event = json.loads(body)
            kind = event["data"].get("type") or event["type"]
            told[kind, event["data"]["id"]].add(headers["webhook-id"])

    assert victim.ended() == set(told)
    assert [1] * len(told) == [len(ids) for ids in told.values()]
    assert len(told) == len({id for ids in told.values() for id in ids})
    assert {"message_batch.ended", "response.completed"} <= {kind for kind, _ in told}
