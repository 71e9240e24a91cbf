"""What a gateway adds to a request that it hands on: this server's and litellm's proxy's, in one run.

Rule: the upstream answers at once, so that all time beside it is the gateway's. Upstream, gateway and clients are
processes of their own; what is added is a gateway's latency less that of asking the upstream itself, with as many
clients on the same machine.

    python -m bench.gateway far PORT           the upstream
    python -m bench.gateway near URL PORT      this server before it
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson
import uvicorn
import uvloop

from bench.streams import KEY, PROXY, Anybody, Served, process_of
from haiga.core.records import Price
from haiga.core.upstreams import Upstream
from haiga.engines.upstream import Upstreams
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.usage import Recorder
from haiga.web.app import Services, create_app
from haiga.web.connection import Connection

CLIENTS = (1, 16, 128)
WARMING = 64  # requests before the clock runs
ANSWER = {
    "id": "chatcmpl-far",
    "object": "chat.completion",
    "created": 1795305600,
    "model": "fake",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "word " * 64, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76},
}
ASKED = {"model": "fake", "max_tokens": 64, "messages": [{"role": "user", "content": "Say it. " * 16}]}


@dataclass(frozen=True, slots=True)
class Figure:
    """Who answered so many clients: seconds of latency at the median and at the 99th percentile, requests a second."""

    name: str
    clients: int
    median: float
    worst: float
    rate: float


def run(requests: int) -> list[Figure]:
    """The upstream alone, this server, and litellm's proxy where it has been built, for each number of clients."""
    own = [sys.executable, "-m", "bench.gateway"]
    with ExitStack() as stack:
        far = stack.enter_context(process_of([*own, "far"]))
        servers = {"the upstream": far.url, "haiga": stack.enter_context(process_of([*own, "near", far.url])).url}
        if PROXY.exists():
            servers["litellm"] = stack.enter_context(_litellm(far.url)).url
        return [
            uvloop.run(_measured(name, url, clients, max(requests, 4 * clients)))
            for clients in CLIENTS
            for name, url in servers.items()
        ]


def added(figures: list[Figure], name: str, clients: int) -> tuple[float, float]:
    """Seconds that a gateway adds at the median and at the 99th percentile."""
    alone, there = (
        next(each for each in figures if (each.name, each.clients) == (wanted, clients))
        for wanted in ("the upstream", name)
    )
    return there.median - alone.median, there.worst - alone.worst


def _litellm(far: str) -> AbstractContextManager[Served]:
    there = {"model": "openai/fake", "api_base": f"{far}/v1", "api_key": "any"}
    config = Path("build/bench/gateway.json")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"model_list": [{"model_name": "fake", "litellm_params": there}]}))
    quiet = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY}
    return process_of([str(PROXY), "--config", str(config), "--host", "127.0.0.1", "--port"], env=quiet)


# --- clients ---


async def _measured(name: str, url: str, clients: int, requests: int) -> Figure:
    port = int(url.rpartition(":")[2])
    await asyncio.gather(*(client(port, WARMING // clients + 1) for _ in range(clients)))
    began = time.perf_counter()
    took = await asyncio.gather(*(client(port, requests // clients) for _ in range(clients)))
    spent = time.perf_counter() - began
    all_ = sorted(seconds for each in took for seconds in each)
    return Figure(name, clients, statistics.median(all_), all_[int(len(all_) * 0.99)], len(all_) / spent)


async def client(port: int, requests: int, asked: Mapping[str, object] = ASKED, key: str = KEY) -> list[float]:
    """Latencies of requests one after the other, on one connection."""
    body = orjson.dumps(asked)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    sent, took = head.encode() + body, []
    async with AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        for _ in range(requests):
            began = time.perf_counter()
            writer.write(sent)
            told = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not told.startswith(b"http/1.1 200"):
                raise RuntimeError(told.decode(errors="replace"))
            length = int(told.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - began)
    return took


# --- servers ---


class Far(asyncio.Protocol):
    """Answers every request alike, as soon as it is whole."""

    BODY = orjson.dumps(ANSWER)
    SAID = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            told = self._held[:end].lower()
            size = end + 4 + int(told.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._held) < size:
                return
            self._held = self._held[size:]
            self._transport.write(self.SAID)


async def _far(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Far, "127.0.0.1", port)
    await server.serve_forever()


def _near(far: str, port: int) -> None:
    """This server, recorded as a server records."""
    there = Upstream("far", "openai", f"{far}/v1", None, (("fake", "fake"),))
    recorder = Recorder(lambda record: None, lambda caller, name: (name, Price()))
    app = create_app(Services(Anybody(), Inference(Models({}, elsewhere=Upstreams([there])), stages=[recorder])))
    uvicorn.run(app, port=port, http=Connection, log_level="error", lifespan="off", access_log=False)


if __name__ == "__main__":
    if sys.argv[1] == "far":
        uvloop.run(_far(int(sys.argv[2])))
    else:
        _near(sys.argv[2], int(sys.argv[3]))
