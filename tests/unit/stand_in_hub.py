"""A stand-in for a model hub, on loopback: the endpoints a download uses, and the ways a download goes wrong."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class StandIn:
    """A hub with one repository, tiny/llama, whose branch main is COMMIT.

    cut: name to how many bytes are sent before the connection is closed, once. corrupt: names sent with a wrong
    byte. token: what a request must carry. seen: (path, Range header) of every file request.
    """

    files: Mapping[str, bytes]
    cut: dict[str, int] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    token: str | None = None
    ranges: bool = True
    large: int = 64
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def listing(self) -> dict[str, Any]:
        return {"id": "tiny/llama", "sha": COMMIT, "siblings": [self._entry(*item) for item in self.files.items()]}

    def _entry(self, name: str, content: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if len(content) >= self.large:
            entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    @contextmanager
    def running(self) -> "Iterator[StandIn]":
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def handler(hub: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if hub.token and self.headers["authorization"] != f"Bearer {hub.token}":
                self.answer(401, b"Invalid credentials")
            elif path in (f"/api/models/tiny/llama/revision/{name}" for name in ("main", COMMIT)):
                self.answer(200, json.dumps(hub.listing()).encode())
            elif path.startswith(f"/tiny/llama/resolve/{COMMIT}/"):
                self.send_file(path.rpartition("/")[2])
            else:
                self.answer(404, b"Not found")

        def send_file(self, name: str) -> None:
            asked = self.headers["range"]
            hub.seen.append((name, asked))
            content = hub.files[name]
            if name in hub.corrupt:
                content = content[:-1] + bytes([content[-1] ^ 1])
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and hub.ranges else 0
            stop = hub.cut.pop(name, len(content))
            self.answer(206 if start else 200, content[start:stop], len(content) - start)

        def answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body) if length is None else length))
            self.send_header("x-repo-commit", COMMIT)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

    return Handler
