"""Answers while a client listens. Rule: a client that goes away closes the event iterator, which aborts the request.

A handler's `receive` yields nothing after the body but the disconnect, so that waiting on it is how one learns of it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from haiga.core.errors import Cancelled, Failed, HaigaError
from haiga.core.generation import Event, Finished, Folder, Reply

log = logging.getLogger(__name__)
T = TypeVar("T")
Item = TypeVar("Item")  # an event, or an event of one of several answers
Written = TypeVar("Written", contravariant=True)
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # reverse proxies pass every chunk on at once
}


class Writer(Protocol[Written]):
    """A wire family's stream: events to frames."""

    def write(self, item: Written, /) -> bytes:
        """The frames for one event."""

    def idle(self) -> bytes:
        """What keeps a silent connection open."""

    def error(self, error: HaigaError, request_id: str) -> bytes:
        """The last frames after a failure."""


async def whole_reply(request: Request, events: AsyncGenerator[Event, None]) -> Reply:
    """The folded answer. Raises Cancelled when the client goes away first, and whatever the events raise."""

    async def read() -> Reply:
        folder = Folder()
        async with aclosing(events):
            async for event in events:
                folder.add(event)
        return folder.reply()

    return await while_connected(request, read())


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Cancels it and raises Cancelled when the client goes away first."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("the client went away")
    finally:
        await _end(task, gone)
        del task  # see `_end`


async def stream_reply(
    request: Request, events: AsyncGenerator[Item, None], writer: Writer[Item], *, id: str, patience: float, ping: float
) -> Response:
    """A response that streams the events; Finished is the last.

    Waits up to `patience` seconds for the first event, so that what goes wrong before it is an ordinary HTTP error,
    raised here. `id` is the request's.
    """
    first = asyncio.ensure_future(_next(events))
    gone = asyncio.ensure_future(_disconnected(request.receive))
    waiting = True
    try:
        await asyncio.wait({first, gone}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not first.done() and gone.done():
            raise Cancelled("the client went away")
        if first.done():
            first.result()
        waiting = False
    finally:
        await _end(gone)
        if waiting:
            await _end(first)
            await events.aclose()
            del first  # see `_end`
    return EventStream(first, events, writer, id, ping)


class EventStream(Response, Generic[Item]):
    """Frames as they come, up to Finished; a sign of life after `ping` seconds of silence, an error if it fails."""

    def __init__(
        self,
        first: asyncio.Future[Item],
        events: AsyncGenerator[Item, None],
        writer: Writer[Item],
        request_id: str,
        ping: float,
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._writer = writer
        self._request_id = request_id
        self._ping = ping
        self._last = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        frames = asyncio.ensure_future(self._send_all(send))
        pings = asyncio.ensure_future(self._keep_alive(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({frames, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(frames, pings, gone, self._first)
            await self._events.aclose()

    async def _send_all(self, send: Send) -> None:
        try:
            event = await self._first
            while True:
                await self._send(send, self._writer.write(event))
                if isinstance(event, Finished):
                    break
                event = await _next(self._events)
        except HaigaError as error:
            await self._send(send, self._writer.error(error, self._request_id))
        except OSError:  # the connection broke under a write
            return
        except Exception:
            log.exception("unexpected error in a stream")
            await self._send(send, self._writer.error(Failed("Internal server error"), self._request_id))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, data: bytes) -> None:
        self._last = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _keep_alive(self, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        self._last = clock()
        while True:
            await asyncio.sleep(max(0.0, self._last + self._ping - clock()))
            if clock() - self._last >= self._ping:
                await self._send(send, self._writer.idle())


async def _next(events: AsyncGenerator[Item, None]) -> Item:
    try:
        return await anext(events)
    except StopAsyncIteration:
        raise Failed("the model's answer ended early") from None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs, and see it end. What a task raised is not raised here again: its traceback would then
    hold this frame, and so the task that holds it, and with it the whole request until the collector comes."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not complain
