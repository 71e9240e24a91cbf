"""An engine process's end of the socket to the server: frames out, commands in, a sign of life every few seconds.

Rule: the process lives as long as its socket. When the server goes away, however it goes, the process ends: at once, or
within seconds if it has something to save.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from haiga.engines import frames

HEARTBEAT = 5.0  # seconds
LEAVE = 12.0  # seconds that a process which has something to save may go on without its server


class Link:
    """The socket to the server; frames from several threads do not mix."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._farewell: Callable[[], None] | None = None
        self._parted = False

    @classmethod
    def inherited(cls, number: str) -> "Link":
        """The link over the socket that this process was started with; from now on it gives signs of life, while a
        model loads or a long step runs too. Signals are the server's to handle: it drains."""
        for each in (signal.SIGINT, signal.SIGTERM):  # they are sent to the whole group
            signal.signal(each, signal.SIG_IGN)
        link = cls(socket.socket(fileno=int(number)))
        threading.Thread(target=link._beat, daemon=True).start()
        return link

    def send(self, frame: bytes) -> None:
        try:
            with self._lock:
                self._connection.sendall(frame)
        except OSError:
            self._part()

    def _part(self) -> None:
        """The server is gone: there is nobody left to answer."""
        if self._farewell is None:
            os._exit(0)
        if not self._parted:
            self._parted = True
            self._farewell()
            end = threading.Timer(LEAVE, os._exit, (0,))
            end.daemon = True
            end.start()

    def listen(
        self, obey: Callable[[Mapping[str, Any], bytes], None], farewell: Callable[[], None] | None = None
    ) -> None:
        """Have `obey` called with each command and the bytes that follow it, on a thread of its own. farewell: what
        ends the process in good order once the server is gone, soon; without it the process ends at once."""
        self._farewell = farewell
        threading.Thread(target=self._listen, args=(obey,), daemon=True).start()

    def close(self) -> None:
        """End the process: all is said and saved."""
        os._exit(0)

    def _beat(self) -> None:
        while True:
            self.send(frames.alive())
            time.sleep(HEARTBEAT)

    def _listen(self, obey: Callable[[Mapping[str, Any], bytes], None]) -> None:
        with self._connection.makefile("rb") as stream:
            while len(header := stream.read(frames.HEADER.size)) == frames.HEADER.size:
                (length,) = frames.HEADER.unpack(header)
                command = orjson.loads(stream.read(length))
                obey(command, stream.read(command.get("bytes", 0)))
        self._part()


def resident_bytes() -> int:
    """This process's resident memory (Linux: the second field of /proc/self/statm, in pages)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
