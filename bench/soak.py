"""A server at saturation for as long as is wanted: whether its memory and its file descriptors stay as they are.

Rule: a real `haiga serve` with its engine, all kinds of requests, those that break off and those that are wrong among
them. What grows is told as a slope, by least squares over the run without its first quarter, in which caches fill.
"""

import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bench.streams import TICKS

CLIENTS = 24
SAMPLES = 240  # of a run
HOUR, MIB = 3600.0, float(1 << 20)
OLD = {"anthropic-version": "2023-06-01"}
WORDS = ("river", "stone", "lamp", "winter", "honest", "green", "letter", "walk", "seven", "quiet", "bread", "north")
POOL = "64MB"  # of keys and values: small, so that its pages are all there soon


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the processes: bytes, descriptors, seconds of processor time."""

    at: float
    server: int
    engine: int
    server_files: int
    engine_files: int
    server_spent: float
    engine_spent: float


@dataclass(slots=True)
class Soak:
    """What a run came to. `ended` counts requests by how they ended."""

    seconds: float = 0.0
    ended: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def settled(self) -> list[Sample]:
        return self.samples[len(self.samples) // 4 :]

    def slope(self, of: Callable[[Sample], float]) -> float:
        """How much of it comes in an hour."""
        return _slope([sample.at for sample in self.settled], [of(sample) for sample in self.settled]) * HOUR

    def share(self, of: Callable[[Sample], float]) -> float:
        """Cores that a process kept busy."""
        first, last = self.settled[0], self.settled[-1]
        return (of(last) - of(first)) / (last.at - first.at)


def run(minutes: float, clients: int = CLIENTS) -> Soak:
    return asyncio.run(_run(minutes * 60, clients))


async def _run(seconds: float, clients: int) -> Soak:
    soak = Soak()
    with TemporaryDirectory() as data:
        async with _serving(Path(data)) as (url, pid), httpx.AsyncClient(base_url=url, timeout=300) as client:
            began = time.monotonic()
            asking = [asyncio.create_task(_ask_on(client, random.Random(n), soak)) for n in range(clients)]
            try:
                while (at := time.monotonic() - began) < seconds:
                    soak.samples.append(_look(at, pid))
                    await asyncio.sleep(seconds / SAMPLES)
            finally:
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            soak.seconds = time.monotonic() - began
    return soak


@asynccontextmanager
async def _serving(data: Path) -> AsyncIterator[tuple[str, int]]:
    """The address and process of a server."""
    command = [
        str(Path(sys.executable).with_name("haiga")),
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(data),
        "--log-level",
        "error",
    ]
    command += ["--kv-memory", POOL]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = ""
        while "curl" not in said:
            line = (await process.stdout.readline()).decode()
            if not line:
                raise RuntimeError("the server ended before it was ready")
            said += line
        (url,) = re.findall(r"at (http://\S+)", said)
        yield url, process.pid
    finally:
        process.terminate()
        await process.wait()


# --- those who ask ---


async def _ask_on(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> None:
    ways = (_whole, _streamed, _streamed, _broken_off, _counted, _wrong, _kept)
    while True:
        try:
            outcome = await chance.choice(ways)(client, chance, soak)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        soak.ended[outcome] += 1


def _body(chance: random.Random) -> dict[str, Any]:
    text = " ".join(chance.choices(WORDS, k=chance.randint(5, 150)))
    return {"model": "starter", "max_tokens": chance.randint(1, 60), "messages": [{"role": "user", "content": text}]}


async def _whole(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> str:
    answer = await client.post("/v1/messages", json=_body(chance), headers=OLD)
    if answer.status_code != 200:
        return str(answer.status_code)
    soak.tokens += answer.json()["usage"]["output_tokens"]
    return "whole"


async def _streamed(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> str:
    body = _body(chance) | {"stream": True}
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            soak.tokens += '"content":' in line
        return "streamed" if answer.status_code == 200 else str(answer.status_code)


async def _broken_off(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> str:
    body = _body(chance) | {"stream": True, "max_tokens": 200}
    async with client.stream("POST", "/v1/messages", json=body, headers=OLD) as answer:
        async for _ in answer.aiter_lines():
            if chance.random() < 0.1:
                break
        return "broken off" if answer.status_code == 200 else str(answer.status_code)


async def _counted(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> str:
    body = {name: value for name, value in _body(chance).items() if name != "max_tokens"}
    answer = await client.post("/v1/messages/count_tokens", json=body, headers=OLD)
    return "counted" if answer.status_code == 200 else str(answer.status_code)


async def _wrong(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> str:
    body = _body(chance) | chance.choice(({"model": "nobody"}, {"max_tokens": -1}, {"messages": "what"}))
    answer = await client.post("/v1/messages", json=body, headers=OLD)
    return "refused as wrong" if answer.status_code in (400, 404) else str(answer.status_code)


async def _kept(client: httpx.AsyncClient, chance: random.Random, soak: Soak) -> str:
    """A response that is kept, read and deleted."""
    asked = {"model": "starter", "input": " ".join(chance.choices(WORDS, k=9)), "max_output_tokens": 20}
    made = await client.post("/v1/responses", json=asked)
    if made.status_code != 200:
        return str(made.status_code)
    where = f"/v1/responses/{made.json()['id']}"
    soak.tokens += made.json()["usage"]["output_tokens"]
    for answer in (await client.get(where), await client.delete(where)):
        if answer.status_code != 200:
            return str(answer.status_code)
    return "kept and deleted"


# --- looking ---


def _look(at: float, pid: int) -> Sample:
    engines = _children(pid)
    memory, files, spent = ([read(pid), sum(map(read, engines))] for read in (_resident, _files, _spent))
    return Sample(at, int(memory[0]), int(memory[1]), int(files[0]), int(files[1]), *spent)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended
            found += map(int, (task / "children").read_text().split())
    return found


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def _files(pid: int) -> float:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _spent(pid: int) -> float:
    """Seconds of processor time: user and system, fields 14 and 15 of proc(5)'s stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the line that lies nearest to the points, by least squares."""
    middle, height = sum(x) / len(x), sum(y) / len(y)
    spread = sum((each - middle) ** 2 for each in x)
    return sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True)) / spread if spread else 0.0
