"""Another server, on loopback: answers what it is told to, byte by byte, and remembers what it was asked."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    data: bytes

    @property
    def body(self) -> dict[str, Any]:
        said: dict[str, Any] = orjson.loads(self.data)
        return said


@dataclass(frozen=True, slots=True)
class Answer:
    """`pieces` are sent one after the other, a number being a silence in seconds; with `cut` the connection is closed
    behind the last one, which is then not the answer's end."""

    pieces: Sequence[bytes | float] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    cut: bool = False


def whole(body: object, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer((data,), status, {"content-type": "application/json", **named})


def stream(*events: Mapping[str, Any] | bytes, cut: bool = False, **headers: str) -> Answer:
    """Server-sent events, named after their type where they have one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    frames = [event if isinstance(event, bytes) else frame(event) for event in events]
    return Answer(frames, headers={"content-type": "text/event-stream", **named}, cut=cut)


def frame(event: Mapping[str, Any]) -> bytes:
    named = b"event: %b\n" % str(event["type"]).encode() if "type" in event else b""
    return named + b"data: %b\n\n" % orjson.dumps(event)


SILENT = Answer((3600.0,))  # headers, and nothing else
Script: TypeAlias = Callable[[Asked], Answer | None]  # None: the connection is closed without a word


class Far:
    """`script` says what is answered; it may be changed while the server runs. `open` are the connections that are."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.url = ""
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        asked = Asked(method, path, headers, data)
        self.asked.append(asked)
        answer = self.script(asked)
        if answer is None:
            return False
        told = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        writer.write(f"HTTP/1.1 {answer.status} Told\r\n{told}transfer-encoding: chunked\r\n\r\n".encode())
        for piece in answer.pieces:
            await writer.drain()
            if isinstance(piece, float):
                gone = asyncio.ensure_future(reader.read(1))
                done, _ = await asyncio.wait({gone}, timeout=piece)
                if done:
                    return False
                gone.cancel()
            else:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if answer.cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def far_server(script: Script) -> Iterator[Far]:
    """The server while the block runs, in a thread of its own."""
    far, started, ended = Far(script), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server = await asyncio.start_server(far.connected, "127.0.0.1", 0, limit=64 << 20)
        far.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await ended.wait()
        server.close()
        await far.end()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    started.wait()
    try:
        yield far
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
