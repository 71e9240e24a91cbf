"""A hundred thousand requests on their way in: how fast they are kept, and how much memory that takes.

Rule: the server is a process of its own, whose memory is what the system says of it. Nobody runs the lines, so that all
that happens is the intake. The baseline is the least that anyone could do: parse every line and insert it.

    python -m bench.intake DATA    the server, for this file and for the tests; it prints its port
"""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
import uvicorn

from haiga.cli.server import listening
from haiga.services.access import Access
from haiga.services.batches import Batches, Clerk
from haiga.services.files import Files
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.files import DatabaseFiles
from haiga.stores.keys import DatabaseKeys
from haiga.web.app import Services, create_app
from haiga.wire.openai_batches.paper import BatchPaper

LINES, TEXT = 100_000, 2000  # lines, and characters of each one's text
PIECE = 1 << 18  # bytes that a client sends at a time
ROUNDS = 20  # looks at the list
VERSION = {"anthropic-version": "2023-06-01"}
ENDPOINT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Figure:
    """One way in: megabytes per second, seconds in all, and bytes of memory above idle at the most."""

    name: str
    rate: float
    seconds: float
    memory: int


class Server:
    """A server that takes batches in. `clear` forgets what was its most memory so far."""

    def __init__(self, url: str, pid: int) -> None:
        self.client = httpx.Client(base_url=url, timeout=600)
        self.pid = pid
        self._process = Path(f"/proc/{pid}")

    def clear(self) -> None:
        (self._process / "clear_refs").write_text("5")

    @property
    def most(self) -> int:
        """Bytes of resident memory at the most."""
        return self._status("VmHWM")

    @property
    def resident(self) -> int:
        return self._status("VmRSS")

    def _status(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    """A server with its data in a directory, while the block runs."""
    command = [sys.executable, "-m", "bench.intake", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            server = Server(f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid)
            with closing(server.client):
                server.client.get("/health")
                yield server
        finally:
            process.terminate()


def run(lines: int = LINES) -> tuple[list[Figure], float]:
    """Both ways in beside the baseline, and the seconds that a list of batches takes."""
    with TemporaryDirectory() as folder, serving(Path(folder)) as server:
        data = request_file(Path(folder) / "lines.jsonl", lines)
        figures = [baseline(data, Path(folder) / "plain.db"), by_body(server, lines), by_file(server, data)]
        return figures, listing(server)


def baseline(data: Path, database: Path) -> Figure:
    """Every line parsed and inserted, with nothing around it."""
    began = time.perf_counter()
    with closing(sqlite3.connect(database)) as connection, data.open("rb") as lines:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE lines (id TEXT PRIMARY KEY, body BLOB)")
        rows = ((value["custom_id"], orjson.dumps(value["body"])) for value in map(orjson.loads, lines))
        connection.executemany("INSERT INTO lines VALUES (?, ?)", rows)
        connection.commit()
    return _figure("parse and insert, no server", data.stat().st_size, time.perf_counter() - began, 0)


def by_body(server: Server, lines: int = LINES, size: int = TEXT) -> Figure:
    """POST /v1/messages/batches."""
    sent: list[int] = []

    def body() -> Iterator[bytes]:
        held = bytearray(b'{"requests":[')
        for i in range(lines):
            params = {"model": "none", "max_tokens": 9, "messages": [{"role": "user", "content": text(i, size)}]}
            held += (b"," if i else b"") + orjson.dumps({"custom_id": f"c{i}", "params": params})
            if len(held) >= PIECE:
                sent.append(len(held))
                yield bytes(held)
                held.clear()
        yield bytes(held) + b"]}"

    server.clear()
    idle, began = server.resident, time.perf_counter()
    server.client.post("/v1/messages/batches", content=body(), headers=VERSION).raise_for_status()
    return _figure("a body of requests", sum(sent), time.perf_counter() - began, server.most - idle)


def by_file(server: Server, data: Path) -> Figure:
    """POST /v1/files and /v1/batches, until the file has become lines."""
    server.clear()
    idle, began = server.resident, time.perf_counter()
    batch = until_read(server, send(server, data))
    assert "in_progress" == batch["status"], batch["errors"]
    return _figure("a file of requests", data.stat().st_size, time.perf_counter() - began, server.most - idle)


def send(server: Server, data: Path) -> str:
    """The id of the batch that is made of a file."""
    with data.open("rb") as opened:
        form: Any = {"file": ("lines.jsonl", opened, "application/jsonl")}
        sent = server.client.post("/v1/files", data={"purpose": "batch"}, files=form).raise_for_status().json()
    asked = {"input_file_id": sent["id"], "endpoint": ENDPOINT, "completion_window": "24h"}
    return str(server.client.post("/v1/batches", json=asked).raise_for_status().json()["id"])


def until_read(server: Server, id: str) -> dict[str, Any]:
    """The batch once its file was read."""
    while (batch := server.client.get(f"/v1/batches/{id}").json())["status"] == "validating":
        time.sleep(0.02)
    return dict(batch)


def listing(server: Server) -> float:
    """Seconds of a list of batches, of either family, whichever takes longer."""
    return max(_median(server, "/v1/messages/batches?limit=100"), _median(server, "/v1/batches?limit=100"))


def _median(server: Server, path: str) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        server.client.get(path).raise_for_status()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _figure(name: str, size: int, seconds: float, memory: int) -> Figure:
    return Figure(name, size / seconds / 1e6, seconds, memory)


def request_file(file: Path, lines: int, size: int = TEXT) -> Path:
    """OpenAI's lines, written to a file."""
    with file.open("wb") as opened:
        for i in range(lines):
            body = {"model": "none", "messages": [{"role": "user", "content": text(i, size)}]}
            opened.write(orjson.dumps({"custom_id": f"c{i}", "method": "POST", "url": ENDPOINT, "body": body}) + b"\n")
    return file


def text(number: int, size: int) -> str:
    """A text of `size` characters, another for each number."""
    return f"{number} tell me a story. ".ljust(size, "x")


async def serve(directory: Path) -> None:
    async with connect(directory / "haiga.db") as database:
        files = Files(DatabaseFiles(database), DiskBlobs(directory / "blobs"))
        store = DatabaseBatches(database)
        clerk = Clerk(store, files, BatchPaper(), lambda: None, lease=1)
        batches = Batches(store, lambda: None, clerk.wake)
        access = Access(DatabaseKeys(database), open_when_empty=True)
        app = create_app(Services(access, Inference(Models({})), batches=batches, files=files))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        with listening("127.0.0.1", 0) as listener:
            files.start()
            clerk.start()
            print(listener.getsockname()[1], flush=True)
            await server.serve(sockets=[listener])
        await clerk.close()
        await files.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
