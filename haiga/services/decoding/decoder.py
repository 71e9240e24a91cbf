"""Decoding, for the server: jobs to child processes, a few at a time.

Rule: a child that dies, is silent for too long, or has lost its caller in the middle of a job is gone, and the next job
gets a new one; what the file was is told as the caller's mistake, since nothing else was different.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from haiga.core.errors import Failed, Invalid, Oversized
from haiga.core.pictures import Picture
from haiga.services.decoding.frames import HEAD, frame
from haiga.services.decoding.refusal import OVERSIZED

MEMORY = 1 << 30  # bytes of one child, the interpreter and the libraries included
SECONDS = 2.0  # of processor time for each picture or page
SILENCE = 30.0  # seconds: on a machine with much to do, processor time takes its time
IDLE = 60.0  # seconds after which a child with nothing to do is ended
KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")  # of the environment
TEXTS_SIDE = 16384  # pixels of a side of a picture whose texts are read
BROKEN = "the file could not be decoded within the time and memory that there are for it"


@dataclass(frozen=True, slots=True)
class PictureWish:
    """`side`: the most pixels of either side, and `why` it is so; `edge`, `patches`: to what a picture is made smaller
    (sizes.py); `exact`: refuse one that would have to be; `alpha`: of one that is not opaque, how opaque it
    is, as masks are meant; `holes`: white where it is not opaque, black elsewhere."""

    side: int
    edge: int
    patches: int
    why: str = ""
    exact: bool = False
    alpha: bool = False
    holes: bool = False


@dataclass(frozen=True, slots=True)
class DecodedPage:
    """`number` counts from 1."""

    number: int
    text: str
    picture: Picture | None = None


class Decoder:
    """At most `children` processes, each of `memory` bytes, started when they are first needed."""

    def __init__(self, children: int = 2, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        self._bounds = json.dumps({"memory": memory, "seconds": seconds})
        self._free = asyncio.Semaphore(children)
        self._waiting: list[_Child] = []
        self._closed = False

    async def picture(self, data: bytes, wish: PictureWish) -> Picture:
        """Raises Invalid with the reason."""
        head = {
            "do": "picture",
            "side": wish.side,
            "edge": wish.edge,
            "patches": wish.patches,
            "why": wish.why,
            "exact": wish.exact,
            "alpha": wish.alpha,
            "holes": wish.holes,
        }
        async with aclosing(self._run(head, data)) as answers:
            (picture,) = [_picture(told, rgb) async for told, rgb in answers]
            return picture

    async def texts(self, data: bytes) -> dict[str, str]:
        """What a picture's file says in words, by the names that it gives them. Raises Invalid with the reason."""
        head = {
            "do": "texts",
            "side": TEXTS_SIDE,
            "edge": TEXTS_SIDE,
            "patches": TEXTS_SIDE**2,
            "why": "",
            "exact": False,
        }
        async with aclosing(self._run(head, data)) as answers:
            (texts,) = [json.loads(told) async for _, told in answers]
            return dict(texts)

    async def pages(self, data: bytes, limit: int, edge: int) -> AsyncGenerator[DecodedPage, None]:
        """The pages of a PDF, with pictures where `edge` is not 0. Raises Invalid with the reason."""
        async with aclosing(self._run({"do": "pages", "limit": limit, "edge": edge}, data)) as answers:
            async for told, rgb in answers:
                yield DecodedPage(told["number"], told["text"], _picture(told, rgb) if rgb else None)

    def start(self) -> None:
        """There is nothing to start before the first job."""

    async def close(self) -> None:
        """End the processes. Jobs under way end as their callers do."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for child in waiting:
            await child.end()

    async def _run(self, head: Mapping[str, Any], data: bytes) -> AsyncGenerator[tuple[dict[str, Any], bytes], None]:
        async with self._free, self._child() as child:
            await child.send(head, data)
            while True:
                told, payload = await child.receive()
                if "refused" in told:
                    raise _refusal(head, told["refused"], told["code"])
                if told["last"]:
                    return
                yield told, payload

    @asynccontextmanager
    async def _child(self) -> AsyncIterator["_Child"]:
        """A child for one job; it is kept for the next one if it has finished this one."""
        child = self._waiting.pop() if self._waiting else await _Child.started(self._bounds)
        child.awake()
        try:
            yield child
        finally:
            if child.ready and not self._closed:
                self._waiting.append(child)
                child.sleep(self._drop)
            else:
                await child.end()

    def _drop(self, child: "_Child") -> None:
        self._waiting.remove(child)
        child.ending = asyncio.create_task(child.end())


class _Child:
    """One process. `ready`: it waits for a job."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._idle: asyncio.TimerHandle | None = None
        self.ready = False
        self.ending: asyncio.Task[None] | None = None

    @classmethod
    async def started(cls, bounds: str) -> "_Child":
        """Raises Failed when it does not come up."""
        command = [sys.executable, "-m", "haiga.services.decoding.child", bounds]
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, start_new_session=True
        )
        child = cls(process)
        try:
            await child.receive()
        except BaseException as problem:
            await child.end()
            if isinstance(problem, Invalid):
                raise Failed("the decoding process does not start") from None
            raise
        return child

    async def send(self, head: Mapping[str, Any], data: bytes) -> None:
        assert self._process.stdin is not None
        self.ready = False
        try:
            for piece in frame(dict(head), data):
                self._process.stdin.write(piece)
            await self._process.stdin.drain()
        except OSError:
            raise Invalid(BROKEN) from None

    async def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next frame. Raises Invalid when the child has ended, or says nothing."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(SILENCE):
                size, length = HEAD.unpack(await self._process.stdout.readexactly(HEAD.size))
                head = {"last": False, **json.loads(await self._process.stdout.readexactly(size))}
                payload = await self._process.stdout.readexactly(length)
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            raise Invalid(BROKEN) from None
        self.ready = bool(head["last"])
        return head, payload

    def sleep(self, drop: Any) -> None:
        self._idle = asyncio.get_running_loop().call_later(IDLE, drop, self)

    def awake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    async def end(self) -> None:
        self.awake()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._process._transport.close()  # type: ignore[attr-defined]


def _refusal(head: Mapping[str, Any], reason: str, code: str) -> Invalid:
    return Oversized(reason, side=head["side"]) if code == OVERSIZED else Invalid(reason, code=code or None)


def _picture(told: Mapping[str, Any], rgb: bytes) -> Picture:
    return Picture(rgb, told["width"], told["height"], told["digest"])
