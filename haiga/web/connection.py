"""One client's connection, bounded: what it may send before a request begins, and how long it may make us wait.

Rule: a connection costs memory and a descriptor before anybody has said who they are, so a client that neither sends
nor reads, or sends without end, is cut off here. uvicorn bounds none of that.
"""

import asyncio
import json
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LARGEST_HEAD = 256 << 10  # bytes between two pieces of body: a request's line and headers, or a trailer
GRACE = 30.0  # seconds for a request to arrive, renewed for each ENOUGH bytes of it
ENOUGH = 30 << 10  # bytes
UNREAD = 60.0  # seconds that a client may leave an answer unread


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with limits. It also tells the request that runs when its client has gone: uvicorn tells
    the one that came last, which is another when a client sends several without waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0  # bytes since the last piece of body
        self._received = 0  # bytes since the last look at a request that is arriving
        self._arriving: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self.resume_writing()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        self._received += len(data)
        super().data_received(data)
        if self._upgraded:
            return
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response(f"Request headers exceed the maximum size of {LARGEST_HEAD} bytes")
        if self.cycle is None or self.cycle.response_complete:  # even an empty line has stopped uvicorn's own clock
            self._await_request()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is another protocol's."""
        self._upgraded = True
        self._arrived()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_request()

    def on_headers_complete(self) -> None:
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head = 0
        self._arrived()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP has no path, and so no family: both families' clients find the message here."""
        id = f"req_{secrets.token_hex(12)}"
        error = {"type": "invalid_request_error", "message": msg, "param": None, "code": None}
        body = json.dumps({"type": "error", "error": error, "request_id": id}).encode()
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"request-id: {id}\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _look(self) -> None:
        """Close the connection unless enough has arrived since the last look, or it is we who do not read."""
        self._arriving = None
        if self._received >= ENOUGH or self.flow.read_paused:
            self._await_request()
        else:
            self.transport.close()

    def _await_request(self) -> None:
        if self._arriving is None:
            self._received = 0
            self._arriving = self.loop.call_later(GRACE, self._look)

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None
