"""Many requests on their way in take no more memory than a few, by the server's own process as the system counts it;
and what breaks off is gone on with, or gone."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx

from bench import intake

LINES, SIZE = 3000, 20_000  # some 60 MB
MOST = 36 << 20  # bytes above idle: what threads, pieces and caches take, whatever the number of lines


def test_neither_a_body_nor_a_file_of_requests_is_ever_held_whole(tmp_path: Path) -> None:
    data = intake.request_file(tmp_path / "lines.jsonl", LINES, SIZE)
    assert data.stat().st_size > 1.5 * MOST
    with intake.serving(tmp_path / "data") as server:
        few = intake.request_file(tmp_path / "few.jsonl", 100)
        intake.by_body(server, 100), intake.by_file(server, few)  # whatever is made once is made
        for figure in (intake.by_body(server, LINES, SIZE), intake.by_file(server, data)):
            assert figure.memory < MOST, figure


def kill(server: intake.Server) -> None:
    os.kill(server.pid, signal.SIGKILL)


def test_a_file_whose_reader_was_killed_becomes_lines_once(tmp_path: Path) -> None:
    lines, data = 9000, tmp_path / "data"
    file = intake.request_file(tmp_path / "lines.jsonl", lines)
    with intake.serving(data) as server:
        id = intake.send(server, file)
        time.sleep(0.05)
        assert "validating" == server.client.get(f"/v1/batches/{id}").json()["status"]
        kill(server)
    with intake.serving(data) as server:
        batch = intake.until_read(server, id)
        assert ("in_progress", lines) == (batch["status"], batch["request_counts"]["total"])
        batch = server.client.post(f"/v1/batches/{id}/cancel").json()
        assert "cancelling" == batch["status"]


def test_an_upload_whose_server_was_killed_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    drafts = data / "blobs" / "drafts"

    def send(server: intake.Server) -> None:
        def pieces() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            while True:
                yield bytes(1 << 20)

        form = {"content-type": "multipart/form-data; boundary=b", **intake.VERSION}
        with httpx.Client(base_url=server.client.base_url) as client:
            try:
                client.post("/v1/files", content=pieces(), headers=form)
            except httpx.TransportError:
                return

    with intake.serving(data) as server:
        sending = Thread(target=send, args=(server,))
        sending.start()
        while not (drafts.exists() and any(file.stat().st_size for file in drafts.iterdir())):
            time.sleep(0.01)
        kill(server)
        sending.join()
    assert 1 == len(list(drafts.iterdir()))
    with intake.serving(data) as server:
        while list(drafts.iterdir()):
            time.sleep(0.01)
        assert [] == server.client.get("/v1/files").json()["data"]
