"""A server on loopback that answers each request with bytes given to it, and remembers what it was asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Answer = Callable[[str, str], bytes | list[bytes]]
"""A request's path and its head, to what is answered; pieces of a list are sent 0.2 s apart."""

SECURE = Path(__file__).with_name("secure.test.pem")  # a certificate for secure.test alone, and its key


class Listener:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((line[16:] for line in head.lower().splitlines() if line.startswith("content-length: ")), "0")
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(int(length)))
            answer = self._answer(head.split()[1], head)
            for at, piece in enumerate([answer] if isinstance(answer, bytes) else answer):
                await asyncio.sleep(0.2 * bool(at))
                writer.write(piece)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()


@asynccontextmanager
async def listening(answer: Answer, tls: bool = False) -> AsyncIterator[Listener]:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SECURE)
    listener = Listener(answer)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=context)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; `_` in the name of a header stands for `-`."""
    lines = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    told = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{told}connection: close\r\n\r\n".encode() + body
