"""A batch outlives its server, its workers, its engines and its database: whatever is killed when, every line has one
result, and what was stored is not computed again."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.e2e.test_serve import serving
from tests.postgres import Cluster
from tests.served import make_model

LINES = 2000
DISTINCT = 1600  # the others are identical to one of these
STORED = "SELECT custom_id FROM batch_lines WHERE result IS NOT NULL"
OLD = {"anthropic-version": "2023-06-01"}


class Part:
    """A process of the site."""

    def __init__(self, role: str, arguments: Sequence[str]) -> None:
        self.role = role
        self._command = [sys.executable, "-m", "tests.e2e.batch_server", role, *arguments]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        told = self._process.stdout.readline().strip()
        assert told, f"the {self.role} did not start"
        self.port = int(told)

    def kill(self) -> None:
        if self._process is not None:
            with self._process:
                self._process.kill()

    def kill_engine(self) -> None:
        assert self._process is not None
        found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)

    def write_up_to(self, size: int) -> None:
        """From now on no file can be written beyond so many bytes, as if the disk were full."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def restart(self) -> None:
        self.kill()
        self.start()


class Site:
    """Parts over one database, whose results `query` gives; and what could be seen of them at many moments."""

    def __init__(self, roles: Sequence[str], arguments: Sequence[str], log: Path, query: Callable[[], list[str]]):
        self.parts = [Part(role, arguments) for role in roles]
        self._query, self._log = query, log
        self.seen: list[tuple[set[str], int]] = []
        log.touch()
        for part in self.parts:
            part.start()

    def client(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.parts[0].port}", api_key="any", max_retries=0)

    def begun(self) -> list[str]:
        return self._log.read_text().splitlines()

    def wait_for(self, results: int) -> None:
        """Until so many texts have their answer, looking ever and again at what is stored, then at what has begun."""
        while True:
            stored = {text_of(custom_id) for custom_id in self._query()}
            self.seen.append((stored, len(self.begun())))
            if len(stored) >= results:
                return
            time.sleep(0.1)

    def close(self) -> None:
        for part in self.parts:
            part.kill()


def text_of(custom_id: str) -> str:
    return f"tell {int(custom_id.removeprefix('line-')) % DISTINCT}"


def lines(number: int = LINES) -> list[Any]:
    def params(custom_id: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": text_of(custom_id)}]
        return {"model": "tiny", "max_tokens": 6, "temperature": 0, "messages": messages}

    names = [f"line-{i}" for i in range(number)]
    return [{"custom_id": name, "params": params(name)} for name in names]


def outlived(site: Site, blows: Sequence[Callable[[], None]]) -> None:
    """Deal the blows at random moments of a batch, then look at its results."""
    chance = random.Random(6)
    with site.client() as client:
        id = client.messages.batches.create(requests=lines(), extra_headers=OLD).id
    for blow, moment in zip(blows, sorted(chance.sample(range(1, DISTINCT * 3 // 4), len(blows))), strict=True):
        site.wait_for(moment)
        blow()
    assert len(site.seen[-1][0]) < DISTINCT  # the blows came while there was something to do
    site.wait_for(DISTINCT)
    with site.client() as client:  # a server started again has another port
        while client.messages.batches.retrieve(id).processing_status != "ended":
            time.sleep(0.1)
        results = list(client.messages.batches.results(id))

    assert sorted(f"line-{i}" for i in range(LINES)) == sorted(result.custom_id for result in results)
    assert [] == [result for result in results if result.result.type != "succeeded"]
    assert LINES - DISTINCT == sum(hasattr(result.result.message.usage, "haiga_reused") for result in results)  # type: ignore[union-attr]
    answers = {(text_of(result.custom_id), str(result.result.message.content)) for result in results}  # type: ignore[union-attr]
    assert DISTINCT == len(answers)
    begun = site.begun()
    assert set() == {text for stored, so_far in site.seen for text in stored.intersection(begun[so_far:])}


def query_of(file: Path) -> Callable[[], list[str]]:
    def query() -> list[str]:
        with closing(sqlite3.connect(file)) as database:
            return [custom_id for (custom_id,) in database.execute(STORED).fetchall()]

    return query


@pytest.fixture
def native(tmp_path: Path) -> Iterator[Site]:
    """A server and a worker over SQLite, each with an engine process of its own."""
    file, log = tmp_path / "haiga.db", tmp_path / "begun.txt"
    model = make_model(tmp_path / "model")
    site = Site(["server", "worker"], [str(file), str(tmp_path), str(log), str(model)], log, query_of(file))
    yield site
    site.close()


def test_every_line_has_one_result_whatever_is_killed(native: Site) -> None:
    server, worker = native.parts
    blows = [server.kill_engine, worker.restart, server.restart, worker.kill_engine, worker.restart] * 2
    outlived(native, blows)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Site]:
    """A server over SQLite, with no model."""
    file, log = tmp_path / "haiga.db", tmp_path / "begun.txt"
    site = Site(["server"], [str(file), str(tmp_path), str(log)], log, query_of(file))
    yield site
    site.close()


def test_what_a_full_disk_cannot_take_is_held_until_there_is_room_and_not_computed_again(
    alone: Site, tmp_path: Path
) -> None:
    (server,) = alone.parts
    with alone.client() as client:
        id = client.messages.batches.create(requests=lines(100), extra_headers=OLD).id
        alone.wait_for(20)
        server.write_up_to((tmp_path / "haiga.db-wal").stat().st_size)  # what is written next is appended to it
        with pytest.raises(anthropic.InternalServerError, match=r"disk (is full|I/O error)"):
            client.messages.batches.create(requests=lines(100), extra_headers=OLD)
        stored = len(alone.seen[-1][0])
        while len(alone.begun()) < stored + 8:  # as many as run at once had no room, or almost
            time.sleep(0.02)
        assert client.messages.batches.retrieve(id).processing_status == "in_progress"
        server.write_up_to(resource.RLIM_INFINITY)
        while client.messages.batches.retrieve(id).processing_status != "ended":
            time.sleep(0.05)
        assert {"succeeded"} == {result.result.type for result in client.messages.batches.results(id)}
        assert [id] == [batch.id for batch in client.messages.batches.list()]
    assert 100 == len(alone.begun())


@pytest.fixture
def spread(own_cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A server that runs no lines, and two workers, over PostgreSQL."""
    name, log = own_cluster.database(), tmp_path / "begun.txt"
    arguments = [own_cluster.url(name), str(tmp_path), str(log)]
    site = Site(["front", "worker", "worker"], arguments, log, lambda: own_cluster.sql(STORED, name))
    yield site
    site.close()


def test_two_workers_on_postgres_outlive_each_other_the_server_and_the_database(
    spread: Site, own_cluster: Cluster
) -> None:
    server, one, other = spread.parts

    def restart_database() -> None:
        own_cluster.stop()
        own_cluster.start()

    def crash_database() -> None:
        own_cluster.stop("immediate")
        own_cluster.start()

    outlived(spread, [one.restart, restart_database, other.restart, server.restart, crash_database, one.restart])


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
