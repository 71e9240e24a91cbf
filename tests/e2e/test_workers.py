"""`haiga worker`: processes of their own that run the lines of batches, beside servers over one PostgreSQL."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.test_serve import serving
from tests.postgres import Cluster

HELD = "SELECT state, worker FROM batch_lines WHERE state IN ('new', 'running') OR worker IS NOT NULL"


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


@contextmanager
def working(data: Path, url: str) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name("haiga")), "worker", "--data-dir", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HAIGA_DATABASE": url}) as it:
        assert it.stdout is not None
        assert "works on batches for starter" in it.stdout.readline()
        try:
            yield
        finally:
            it.terminate()
            assert 0 == it.wait(30)


def ask(name: str, tokens: int) -> Any:
    messages = [{"role": "user", "content": f"Tell me of frog {name}."}]
    return {"custom_id": name, "params": {"model": "starter", "max_tokens": tokens, "messages": messages}}


def test_a_server_leaves_batches_to_workers_and_one_that_is_stopped_gives_back_its_lines(
    emptied: Callable[[], str], cluster: Cluster, tmp_path: Path
) -> None:
    url = emptied()
    with serving(tmp_path / "server", "--database", url, "--no-worker") as server, server.client:
        batches = server.client.messages.batches
        id = batches.create(requests=[ask(f"f{i}", 20) for i in range(4)]).id
        long = batches.create(requests=[ask(f"l{i}", 1000) for i in range(60)]).id
        with working(tmp_path / "worker", url):
            while batches.retrieve(id).processing_status != "ended":
                time.sleep(0.05)
        assert [] == cluster.sql(HELD, name_of(url))
        assert ["1"] == cluster.sql("SELECT max(1 + tries) FROM batch_lines WHERE state = 'waiting'", name_of(url))
        batches.cancel(long)
        with working(tmp_path / "worker", url):
            while batches.retrieve(long).processing_status != "ended":
                time.sleep(0.05)
        assert {"succeeded"} == {line.result.type for line in batches.results(id)}
        assert 60 == len(list(batches.results(long)))
