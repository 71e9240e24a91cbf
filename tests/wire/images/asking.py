"""What a server with a painter is asked: clients, pictures to send, jobs held back and followed to their end."""

import base64
import io
import json
from typing import Any

import httpx
from PIL import Image
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket

from haiga.engines.fake_painter import FakePainter
from tests.wire.limited_server import Running

ENDED = ("done", "failed", "cancelled")


def asking(served: Running, key: str) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers={"x-api-key": key}, timeout=20)


def watching(served: Running, http: httpx.Client) -> ClientConnection:
    url = f"{served.url.replace('http', 'ws')}/v1/jobs/a/events"
    return websocket(url, additional_headers={"x-api-key": http.headers["x-api-key"]})


def begun(watched: ClientConnection) -> None:
    """Waits until the job that is watched runs."""
    while json.loads(watched.recv())["job"]["status"] != "running":
        pass


def held(served: Running, painter: FakePainter) -> None:
    """No step ends from now on."""
    served.loop.call_soon_threadsafe(painter.gate.clear)


def freed(served: Running, painter: FakePainter) -> None:
    served.loop.call_soon_threadsafe(painter.gate.set)


def ended(http: httpx.Client, id: str) -> dict[str, Any]:
    """The job, once it has ended, as its stream of events tells."""
    lines = http.get(f"/v1/jobs/{id}/events").text.splitlines()
    last: dict[str, Any] = json.loads([line for line in lines if line.startswith("data: ")][-1][6:])["job"]
    assert last["status"] in ENDED
    return last


def picture(data: str | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(base64.b64decode(data)))


def png(mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, (10, 20, 30, 0)[: len(mode)]).save(file, "PNG")
    return file.getvalue()


PNG = base64.b64encode(png()).decode()
