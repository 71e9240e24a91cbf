"""A batch beside the same requests sent one after another and by many clients, and who asks while a batch runs.

Rule: a real server on a socket for each way, so that none finds what another has computed. What was computed and what
it costs is told by the answers' own usage.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import httpx

from haiga.core.generation import Usage
from haiga.core.records import Price

LINES = 1000
SYSTEM = 1500  # tokens that all lines begin with; the tokenizer of bench/shapes.py makes one of each byte
ANSWER = 32  # tokens
TWICE = 0.3  # part of the lines that is the same as an earlier one
CLIENTS = 16
ASKED = 15  # interactive requests while the server is idle, and while it is busy
QUICK = 8  # tokens of an interactive answer
SATURATING, LONG = 300, 400  # lines of a batch that goes on meanwhile, and tokens of each answer
PATIENCE = 100_000  # looks at a batch
PRICE = Price(Decimal("1e-6"), Decimal("5e-6"), cache_read=Decimal("1e-7"))
HEADERS = {"anthropic-version": "2023-06-01"}
SERVE = "from haiga.cli import main; main()"
Params: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One way to have the lines answered. `tokens` were computed, for prompts and answers; `cost` is US dollars at
    PRICE, `seconds` the wall's."""

    name: str
    seconds: float
    tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds: until the first token of an interactive request on an idle server, and on one that a batch saturates,
    and between two tokens then, which is a step."""

    idle: float
    busy: float
    step: float

    @property
    def times(self) -> float:
        """How many times longer than idle, the one step aside that may be running when the request comes."""
        return (self.busy - self.step) / self.idle


async def compare(directory: Path, lines: int) -> list[Figure]:
    """The figures of all three ways."""
    asked = _lines(lines)
    ways: Mapping[str, Callable[[httpx.AsyncClient, Sequence[Params]], Awaitable[list[Params]]]] = {
        "one after another": lambda client, asked: _by_clients(client, asked, 1),
        f"{CLIENTS} clients": lambda client, asked: _by_clients(client, asked, CLIENTS),
        "one batch": _by_batch,
    }
    figures = []
    for name, way in ways.items():
        async with _server(directory) as client:
            await _ask(client, _params("warm up", system="hello"))
            began = time.perf_counter()
            usages = await way(client, asked)
            figures.append(_figure(name, time.perf_counter() - began, usages))
    return figures


async def wait(directory: Path) -> Wait:
    """How long a person waits for the first token."""
    async with _server(directory) as client:
        await _first_token(client, 0)
        idle = [(await _first_token(client, 1 + n))[0] for n in range(ASKED)]
        batch = await _submit(client, [params | {"max_tokens": LONG} for params in _lines(SATURATING, same=0.0)])
        await _reached(client, batch, lambda told: bool(told["haiga_progress"]["done"]))
        busy = [await _first_token(client, 1 + ASKED + n) for n in range(ASKED)]
        if (await _told(client, batch))["processing_status"] == "ended":
            raise RuntimeError("the batch ended before the interactive requests")
    firsts, steps = zip(*busy, strict=True)
    return Wait(statistics.median(idle), statistics.median(firsts), statistics.median(steps))


# --- requests ---


def _lines(number: int, same: float = TWICE) -> list[Params]:
    distinct = max(1, round(number * (1 - same)))
    return [_params(f"Question {n % distinct}: what is it?") for n in range(number)]


def _params(text: str, system: str = "You answer in a few words. ".ljust(SYSTEM, "x")) -> Params:
    messages = [{"role": "user", "content": text}]
    return {"model": "bench", "max_tokens": ANSWER, "temperature": 0, "system": system, "messages": messages}


async def _ask(client: httpx.AsyncClient, params: Params) -> Params:
    answer = await client.post("/v1/messages", json=params)
    usage: Params = answer.raise_for_status().json()["usage"]
    return usage


async def _by_clients(client: httpx.AsyncClient, asked: Sequence[Params], clients: int) -> list[Params]:
    waiting, usages = iter(asked), []

    async def ask() -> None:
        for params in waiting:
            usages.append(await _ask(client, params))

    await asyncio.gather(*(ask() for _ in range(clients)))
    return usages


async def _by_batch(client: httpx.AsyncClient, asked: Sequence[Params]) -> list[Params]:
    batch = await _submit(client, asked)
    await _reached(client, batch, lambda told: bool(told["processing_status"] == "ended"))
    results = (await client.get(f"/v1/messages/batches/{batch}/results")).text.splitlines()
    return [json.loads(line)["result"]["message"]["usage"] for line in results]


async def _reached(client: httpx.AsyncClient, batch: str, enough: Callable[[Params], bool]) -> None:
    """Ask until the batch is so far."""
    for _ in range(PATIENCE):
        if enough(await _told(client, batch)):
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the batch takes too long")


async def _told(client: httpx.AsyncClient, batch: str) -> Params:
    told: Params = (await client.get(f"/v1/messages/batches/{batch}")).json()
    return told


async def _submit(client: httpx.AsyncClient, asked: Sequence[Params]) -> str:
    requests = [{"custom_id": f"line-{n}", "params": params} for n, params in enumerate(asked)]
    made = await client.post("/v1/messages/batches", json={"requests": requests})
    id: str = made.raise_for_status().json()["id"]
    return id


async def _first_token(client: httpx.AsyncClient, number: int) -> tuple[float, float]:
    """Seconds until the first token of an answer to a prompt that nobody has sent before, and from one to the next.

    An answer of one token ends with it; text will not do, since a random model begins with half a character.
    """
    first = await _seconds(client, f"{number} is a number. ", 1)
    return first, (await _seconds(client, f"{number} is another. ", QUICK) - first) / (QUICK - 1)


async def _seconds(client: httpx.AsyncClient, text: str, tokens: int) -> float:
    began = time.perf_counter()
    await _ask(client, _params(text.ljust(200, "y"), system="You are quick.") | {"max_tokens": tokens})
    return time.perf_counter() - began


def _figure(name: str, seconds: float, usages: Sequence[Params]) -> Figure:
    counted: list[Usage] = [_usage(usage) for usage in usages]
    batch = any(usage.get("service_tier") == "batch" for usage in usages)
    tokens = sum(0 if usage.reused else usage.input + usage.creation + usage.output for usage in counted)
    return Figure(name, seconds, tokens, sum(PRICE.cost(usage, batch) for usage in counted) / 1e9)


def _usage(told: Params) -> Usage:
    return Usage(
        input=told["input_tokens"],
        output=told["output_tokens"],
        cache_read=told["cache_read_input_tokens"],
        reused=bool(told.get("haiga_reused")),
    )


# --- the server ---


@asynccontextmanager
async def _server(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a `haiga serve` with the model in the directory, and with nothing in its database."""
    with TemporaryDirectory() as data:
        process = await asyncio.to_thread(_start, directory, data)
        try:
            url = await asyncio.to_thread(_address, process)
            async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=600) as client:
                yield client
        finally:
            process.terminate()
            process.communicate()


def _start(directory: Path, data: str) -> "subprocess.Popen[str]":
    flags = ["--no-starter", "--port", "0", "--model", f"bench={directory}", "--context", "4096", "--data-dir", data]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HAIGA_")}
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", *flags], stdout=subprocess.PIPE, text=True, env=clean
    )


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r" at (http://\S+)", line):
            return found[1]
    raise RuntimeError("the server did not start")


def run(directory: Path, lines: int) -> tuple[list[Figure], Wait]:
    return asyncio.run(compare(directory, lines)), asyncio.run(wait(directory))
