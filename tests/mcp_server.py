"""A real MCP server on loopback, made with the official package, for whatever calls tools of others."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer

TOKEN = "let-me-in"


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def fail() -> str:
    """Fails."""
    raise ValueError("no such thing")


async def sleep() -> str:
    """Takes very long."""
    await asyncio.sleep(600)
    return "awake"


def long() -> str:
    """Says a lot."""
    return "x" * 300_000


class Guarded:
    """Lets in who has the token, and keeps whose requests came."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.seen.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await self._app(scope, receive, send)


class McpServer:
    """Where it listens; `seen` are the credentials of the requests so far."""

    def __init__(self, url: str, guarded: Guarded) -> None:
        self.url = url
        self.host = url.split("/")[2]
        self.seen = guarded.seen


@contextmanager
def mcp_server(*functions: Callable[..., Any], stateless: bool = False) -> Iterator[McpServer]:
    """A server of these tools while the block runs."""
    made = MCPServer("test")
    for function in functions or (add,):
        made.tool()(function)
    guarded = Guarded(made.streamable_http_app(stateless_http=stateless))
    config = uvicorn.Config(guarded, port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield McpServer(f"http://127.0.0.1:{port}/mcp", guarded)
    finally:
        server.should_exit = True
        thread.join()
