"""What a streamed event costs: the wire layer alone, and the server on a socket, per core.

Rule: the engine has every event ready, so that all time spent is the server's own. A server is a process of its own and
is measured by its processor time, so that the client that reads costs it nothing; litellm's proxy, where its
environment has been built, passes the same stream on in the same run.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from haiga.core.access import Caller
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Choice,
    Event,
    Finished,
    Started,
    TextDelta,
    TextRequest,
    Usage,
)
from haiga.core.messages import Text
from haiga.core.records import Price
from haiga.engines.fake import FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.usage import Recorder
from haiga.web.app import Services, create_app
from haiga.wire.anthropic.messages_out import MessageStream
from haiga.wire.openai_chat.read import Form
from haiga.wire.openai_chat.stream import ChatStream
from haiga.wire.openai_responses.read import Form as Responded
from haiga.wire.openai_responses.stream import ResponseWriter
from haiga.wire.openrouter.stream import RouterStream
from haiga.wire.sse import frame

EVENTS = 20_000
PROXY = Path(".venv-litellm-proxy/bin/litellm")
ASKED = {
    "model": "fake",
    "stream": True,
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "go"}],
    "input": "go",  # as responses have it; every form leaves the other's field alone
}
ROUTES = ("/v1/messages", "/v1/chat/completions", "/api/v1/chat/completions", "/api/v1/responses")
KEY = "sk-any"  # litellm's proxy insists on one
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """One route: microseconds of the wire layer for an event, events per second of processor time of the server, and
    of litellm's proxy before it where that was measured."""

    route: str
    wire: float
    served: float
    proxied: float | None


class Ready(FakeEngine):
    """Says EVENTS words without a pause, no two alike: litellm breaks off a stream that repeats itself."""

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        yield Started(Usage())
        yield BlockStarted(0, Text(""))
        for i in range(EVENTS):
            yield TextDelta(0, f" word{i}")
        yield BlockStopped(0)
        yield Finished("end_turn", Usage(output=EVENTS))


class Anybody:
    async def authenticate(self, credential: str | None) -> Caller:
        return Caller()


def serve(port: int) -> None:
    """Serve the routes, recorded as a server records them; the work of this module's own subprocess."""
    recorder = Recorder(lambda record: None, lambda caller, name: (name, Price()))
    app = create_app(Services(Anybody(), Inference(Models({"fake": Ready()}), stages=[recorder])))
    uvicorn.run(app, port=port, log_level="error", lifespan="off", access_log=False)


def run(rounds: int) -> list[Figure]:
    """The figures of every route: of the rounds, the best."""
    wire = [_wire(write, rounds) for write in _writers()]
    with process_of([sys.executable, "-m", "bench.streams"]) as server:
        served = [min(_read(server, route) for _ in range(rounds)) for route in ROUTES]
        proxied = _through_proxy(server, rounds)
    return [
        Figure(route, cost * 1e6, EVENTS / spent, proxied if route == "/v1/chat/completions" else None)
        for route, cost, spent in zip(ROUTES, wire, served, strict=True)
    ]


def _writers() -> list[Callable[[TextDelta], bytes]]:
    form = Form(stream=True, include_usage=True)
    message = MessageStream("msg_1", "fake")
    chat = ChatStream(form, id="c", model="fake", created=0)
    router = RouterStream(form, id="g", model="fake", created=0, price=lambda name: Price(), reasoning=True)
    response = ResponseWriter({"background": False}, Responded(), lambda error: error, lambda name: name, time.time)
    for event in (Started(Usage()), BlockStarted(0, Text(""))):
        response.write(event)
    return [
        message.write,
        lambda event: chat.write(Choice(0, event)),
        lambda event: router.write(Choice(0, event)),
        lambda event: b"".join(map(frame, response.write(event))),
    ]


def _wire(write: Callable[[TextDelta], bytes], rounds: int) -> float:
    """Seconds for one event."""
    events = [TextDelta(0, " word") for _ in range(EVENTS)]
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for event in events:
            write(event)
        best = min(best, time.process_time() - began)
    return best / EVENTS


# --- processes ---


@dataclass(frozen=True, slots=True)
class Served:
    """A server in a process of its own."""

    url: str
    pid: int

    @property
    def spent(self) -> float:
        """Seconds of processor time so far: user and system, fields 14 and 15 of proc(5)'s stat."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def process_of(command: list[str], **settings: Any) -> Iterator[Served]:
    """The server that the command starts when it is given a port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings)
    try:
        _wait(port, process)
        yield Served(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not listen")


def _read(server: Served, route: str) -> float:
    """Seconds of the server's processor time for one whole stream."""
    headers = {"anthropic-version": "2023-06-01", "authorization": f"Bearer {KEY}"}
    began = server.spent
    response = httpx.post(server.url + route, json=ASKED, headers=headers, timeout=300).raise_for_status()
    words = response.content.count(b" word")
    if words < EVENTS:
        raise RuntimeError(f"{route} gave {words} of {EVENTS} words")
    return server.spent - began


def _through_proxy(server: Served, rounds: int) -> float | None:
    """Events per second of the proxy's processor time, the same stream passing through it."""
    if not PROXY.exists():
        return None
    upstream = {"model": "openai/fake", "api_base": f"{server.url}/v1", "api_key": "any"}
    config = Path("build/bench/litellm.json")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"model_list": [{"model_name": "fake", "litellm_params": upstream}]}))
    command = [str(PROXY), "--config", str(config), "--host", "127.0.0.1", "--port"]
    quiet = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY}
    with process_of(command, env=quiet) as proxy:
        return EVENTS / min(_read(proxy, "/v1/chat/completions") for _ in range(rounds))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
