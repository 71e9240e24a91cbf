"""The connections to one upstream: what is sent there, what comes back, and every way in which that fails.

Rule: one request at most for one that is asked, since an answer may have been made, and charged, though it never
came. Every wait ends, every size is bounded, and what fails is a core error that names the upstream.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx

from haiga.core.errors import Busy, Dead, Failed
from haiga.core.upstreams import Upstream
from haiga.engines.upstream.lanes import Lanes
from haiga.wire.upstream.errors import TIMEOUT, read_error

VERSION = "2023-06-01"  # the version that takes what other families ask for
CONNECT = 10.0  # seconds until a connection stands
QUEUE = 30.0  # seconds that a request waits for its turn, where they are bounded
LARGEST = 64 << 20  # bytes of an answer that is read whole
COMPLAINT = 64 << 10  # bytes of an error


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent. `path` is below the upstream's address."""

    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


class Line:
    """`key` is sent with every request, as the upstream's API has it."""

    def __init__(self, upstream: Upstream, key: str | None) -> None:
        self.upstream = upstream
        self._key = key
        self._turns = asyncio.Semaphore(upstream.concurrency) if upstream.concurrency else None
        self._lanes = Lanes(self._client)
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    @asynccontextmanager
    async def sent(self, post: Post) -> AsyncGenerator[httpx.Response, None]:
        """An answer with its body still to be read; it was a success. Raises core errors: Busy where its turn does not
        come, Dead once the line is closed."""
        name = self.upstream.name
        if self._closed:
            raise Dead(f"{name}: this server is being stopped")
        await self._turn()
        try:
            with self._told():
                async with self._lanes.one() as client, self._answered(client, post) as response:
                    if response.status_code != 200:
                        complaint = await _bounded(response, COMPLAINT)
                        raise read_error(response.status_code, response.headers, complaint, name)
                    yield response
        finally:
            if self._turns:
                self._turns.release()

    @asynccontextmanager
    async def _answered(self, client: httpx.AsyncClient, post: Post) -> AsyncGenerator[httpx.Response, None]:
        sent, headers = post.body or None, self._headers(post)
        request = client.build_request(post.method, post.path, content=sent, headers=headers)
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def whole(self, response: httpx.Response) -> bytes:
        """The body of an answer."""
        return await _bounded(response, LARGEST, self.upstream.name)

    async def get(self, path: str) -> bytes:
        """What is at a path: lists of models. Raises core errors."""
        async with self.sent(Post(path, method="GET")) as response:
            return await self.whole(response)

    async def close(self) -> None:
        self._closed = True
        await self._lanes.close()

    async def _turn(self) -> None:
        if self._turns is None:
            return
        try:
            async with asyncio.timeout(QUEUE):
                await self._turns.acquire()
        except TimeoutError:
            most = f"{self.upstream.name} is busy with {self.upstream.concurrency} requests of this server"
            raise Busy(most, retry_after=1.0) from None

    def _client(self) -> httpx.AsyncClient:
        """Nothing of this machine's environment goes along. Reading the certificates takes long: it is done once."""
        self._tls = self._tls or httpx.create_ssl_context()
        return httpx.AsyncClient(
            base_url=self.upstream.url,
            timeout=httpx.Timeout(self.upstream.timeout, connect=CONNECT, pool=None),
            verify=self._tls,
            proxy=self.upstream.proxy,
            trust_env=False,
            headers={"user-agent": "haiga", "accept-encoding": "identity"},
        )

    def _headers(self, post: Post) -> dict[str, str]:
        own = {"content-type": "application/json"} if post.body else {}
        if self.upstream.kind == "anthropic":
            own |= {"anthropic-version": VERSION, **({"x-api-key": self._key} if self._key else {})}
        elif self._key:
            own["authorization"] = f"Bearer {self._key}"
        return {**own, **post.headers}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong on the way, as a core error."""
        name = self.upstream.name
        try:
            yield
        except httpx.TimeoutException:
            raise Failed(f"{name} did not answer in time", code=TIMEOUT) from None
        except (httpx.ConnectError, httpx.ProxyError):
            raise Failed(f"{name} cannot be reached", code="upstream_unreachable") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as problem:
            if self._closed:
                raise Dead(f"{name}: this server is being stopped") from None
            raise Failed(f"{name} broke off its answer ({type(problem).__name__})", code="upstream_failed") from None


async def pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes."""
    async for piece in response.aiter_bytes():
        yield piece


async def _bounded(response: httpx.Response, most: int, name: str | None = None) -> bytes:
    """The body; of one that is longer than `most`, the beginning, or Failed where a `name` is to be blamed."""
    read = bytearray()
    async for piece in response.aiter_bytes():
        read += piece
        if len(read) > most:
            if name is not None:
                raise Failed(f"{name} answered with more than {most} bytes", code="upstream_failed")
            break
    return bytes(read[:most])
