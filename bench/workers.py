"""What one server process does, and what several do over one PostgreSQL: a gateway with a key, and records.

Rule: real `haiga serve` processes before an upstream that answers at once, the clients shared out evenly among them; a
server over its own SQLite in the same run is the baseline. Shared limits are `limits`' to measure.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.gateway import ASKED, client
from bench.streams import Served, process_of
from tests.postgres import running

SERVERS = (1, 2, 4)
CLIENTS = 64
WARMING = 8  # requests of each client before the clock runs
HAIGA = str(Path(sys.executable).with_name("haiga"))


@dataclass(frozen=True, slots=True)
class Figure:
    """Servers over a database: requests a second, seconds of latency at the median, and the cores that the servers kept
    busy together."""

    database: str
    servers: int
    rate: float
    median: float
    cores: float


def run(requests: int) -> list[Figure]:
    with ExitStack() as stack:
        far = stack.enter_context(process_of([sys.executable, "-m", "bench.gateway", "far"]))
        cluster = stack.enter_context(running())
        counts = [count for count in SERVERS if count <= (os.cpu_count() or 1)]
        alone = _measured("SQLite", far.url, None, 1, requests)
        return [
            alone,
            *(_measured("PostgreSQL", far.url, cluster.url(cluster.database()), count, requests) for count in counts),
        ]


def _measured(name: str, far: str, database: str | None, count: int, requests: int) -> Figure:
    with TemporaryDirectory() as data, ExitStack() as stack:
        where = ["--data-dir", data, *(["--database", database] if database else [])]
        _told(["upstream", "add", "far", "--url", f"{far}/v1", "--model", "fake=fake", *where])
        key = _told(["keys", "create", "bench", *where]).split()[-1]
        command = [HAIGA, "serve", "--no-starter", "--no-worker", "--log-level", "error", *where, "--port"]
        servers = [stack.enter_context(process_of(command)) for _ in range(count)]
        uvloop.run(_asked(servers, key, WARMING))
        began, spent = time.perf_counter(), sum(server.spent for server in servers)
        took = sorted(uvloop.run(_asked(servers, key, requests // CLIENTS)))
        seconds = time.perf_counter() - began
        cores = (sum(server.spent for server in servers) - spent) / seconds
        return Figure(name, count, len(took) / seconds, took[len(took) // 2], cores)


async def _asked(servers: Sequence[Served], key: str, each: int) -> list[float]:
    ports = [int(server.url.rpartition(":")[2]) for server in servers]
    took = await asyncio.gather(*(client(ports[n % len(ports)], each, ASKED, key) for n in range(CLIENTS)))
    return [seconds for one in took for seconds in one]


def _told(command: list[str]) -> str:
    return subprocess.run([HAIGA, *command], capture_output=True, text=True, check=True).stdout
