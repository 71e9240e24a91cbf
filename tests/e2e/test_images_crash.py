"""A server that is killed while jobs for pictures run and wait."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


@contextmanager
def killed_at_the_end(directory: Path, *flags: str) -> Iterator[httpx.Client]:
    """A client of a server process, which is sent SIGKILL when the block ends."""
    command = [sys.executable, "-m", "tests.e2e.image_server", str(directory), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url, key = process.stdout.readline().split()
            with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=30) as client:
                yield client
        finally:
            process.kill()


def ended(client: httpx.Client, id: str) -> dict[str, Any]:
    lines = client.get(f"/v1/jobs/{id}/events").text.splitlines()
    job: dict[str, Any] = json.loads([line for line in lines if line.startswith("data: ")][-1][6:])["job"]
    return job


def test_after_a_kill_what_ran_has_failed_and_what_waited_is_done(tmp_path: Path) -> None:
    with killed_at_the_end(tmp_path, "stuck") as client:
        for name, more in (("runs", {}), ("waits", {}), ("late", {"deadline": 0.01})):
            client.post("/v1/jobs", json={"prompt": "a boat", "id": name, **more}).raise_for_status()
        while client.get("/v1/jobs/runs").json()["status"] != "running":
            pass
    with killed_at_the_end(tmp_path) as client:
        jobs = {name: ended(client, name) for name in ("runs", "waits", "late")}
    assert ["failed", "done", "failed"] == [job["status"] for job in jobs.values()]
    assert [0, 1, 0] == [len(job["pictures"]) for job in jobs.values()]
    assert "the server ended while the job ran" in json.dumps(jobs["runs"])
    assert "its deadline passed before it could begin" in json.dumps(jobs["late"])


def test_what_is_too_old_is_gone_with_its_bytes_after_a_start(tmp_path: Path) -> None:
    with killed_at_the_end(tmp_path) as client:
        for name, more in (("old", {"lifetime": 0.01}), ("new", {})):
            client.post("/v1/jobs", json={"prompt": name, "id": name, **more}).raise_for_status()
            assert "done" == ended(client, name)["status"]
    with killed_at_the_end(tmp_path) as client:
        while client.get("/v1/jobs/old").status_code != 404:
            pass
        assert 200 == client.get("/v1/jobs/new/pictures/0").status_code
