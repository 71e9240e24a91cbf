"""HTTP requests to URLs that somebody else chose.

Rule: nothing is taken on trust. Every hop is judged anew, every wait and every size has an end, nothing of this
machine (proxies, cookies, credentials) goes along, and errors name the host and the reason, never what it answered.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import httpx

from haiga.core.errors import Invalid, TooLarge, Unsupported
from haiga.services.fetch.addresses import Hosts, is_public

PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAFE = frozenset({"GET", "HEAD"})  # what is asked may be asked again elsewhere
LONGEST_URL = 8192  # characters


@dataclass(frozen=True, slots=True)
class Bounds:
    """`size` of the answer in bytes; seconds for `total`, and for the `pause` before a connection or between two
    pieces of an answer; how many `redirects` are followed."""

    size: int = 32 << 20
    total: float = 60.0
    pause: float = 15.0
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer, from the last `url` of a chain of redirects. Names of headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty when none was told."""
        return media_type(self.headers)


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body is still on its way; `pieces` can be read once, inside the block that opened it."""

    url: str
    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: httpx.URL
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def port(self) -> int:
        return self.url.port or PORTS[self.url.scheme]

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.url.scheme, self.url.host, self.port

    def at(self, address: str, bounds: Bounds) -> httpx.Request:
        """As it is sent to one address: the name goes along in the Host header and in the TLS handshake."""
        own = {"host": self.url.netloc.decode(), "user-agent": "haiga", "accept-encoding": "identity"}
        extensions = {"timeout": httpx.Timeout(bounds.pause).as_dict(), "sni_hostname": self.url.raw_host.decode()}
        headers = {**{name.lower(): value for name, value in self.headers.items()}, **own}
        url = self.url.copy_with(host=address)
        return httpx.Request(self.method, url, headers=headers, content=self.body or None, extensions=extensions)

    def redirected(self, to: str) -> "_Request":
        """The request after a redirect. What was meant for one origin is not told to another."""
        target = replace(self, url=parse_url(to, self.url))
        if target.url.scheme != "https" and self.url.scheme == "https":
            raise _refused(target.url, "https leads on to http")
        return target if target.origin == self.origin else replace(target, headers=_for_anyone(self.headers))


class Fetch:
    """Requests to `hosts`; `offline` refuses all. `tls` says whose certificates are believed, by default the usual
    authorities (or those in SSL_CERT_FILE)."""

    def __init__(
        self,
        hosts: Hosts | None = None,
        *,
        offline: bool = False,
        tls: Callable[[], ssl.SSLContext] = httpx.create_ssl_context,
    ) -> None:
        self._hosts = hosts or Hosts()
        self._offline = offline
        self._make_tls = tls

    def check(self, url: str) -> None:
        """Whether a URL can be asked for at all, as far as can be said without asking anyone. Raises Invalid and
        Unsupported."""
        asked = _Request("GET", self._admit(url))
        host, port = asked.url.host, asked.port
        if _is_address(host) and not (is_public(host) or self._hosts.names(host, port)):
            raise _refused(asked.url, "has no public address")

    async def get(
        self,
        url: str,
        *,
        types: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
        bounds: Bounds = Bounds(),
    ) -> Fetched:
        """What is at a URL, redirects followed. `types` are the media types wanted, as `image/png` or `image/*`; none
        for any.

        Raises Invalid (a URL that is refused, does not answer in time, or answers with an error or another type),
        TooLarge, Unsupported (offline).
        """
        async with self.open("GET", url, headers=headers, bounds=bounds) as answer:
            if not 200 <= answer.status < 300:
                raise _failed(httpx.URL(answer.url), f"answered {answer.status}")
            if types and not _matches(media_type(answer.headers), types):
                raise _failed(httpx.URL(answer.url), f"is none of {', '.join(sorted(types))}", code="url_type")
            return await _whole(answer)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        bounds: Bounds = Bounds(redirects=0),
    ) -> Fetched:
        """What a URL answers to `body`, whatever its status. No redirect is followed: a webhook or a tool is where it
        says it is. Raises Invalid, TooLarge, Unsupported."""
        async with self.open("POST", url, headers=headers, body=body, bounds=replace(bounds, redirects=0)) as answer:
            return await _whole(answer)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        bounds: Bounds = Bounds(),
    ) -> AsyncGenerator[Opened, None]:
        """An answer with its body still to be read, whatever its status. With `bounds.redirects` of 0, and to other
        methods than GET and HEAD, a redirect is an answer like any other. The connection is closed with the block.
        Raises Invalid, TooLarge, Unsupported."""
        request = _Request(method, self._admit(url), headers or {}, body)
        limit = asyncio.timeout(bounds.total)
        try:
            async with limit, self._transport() as transport:
                with _told(request.url):
                    request, response = await self._follow(transport, request, bounds)
                async with aclosing(response), aclosing(_bounded(response, request.url, bounds.size)) as pieces:
                    yield Opened(str(request.url), response.status_code, dict(response.headers), pieces)
        except TimeoutError:
            if not limit.expired():
                raise
            raise _failed(request.url, "did not answer in time") from None

    def _admit(self, url: str) -> httpx.URL:
        parsed = parse_url(url)
        if self._offline:
            raise Unsupported(f"{parsed.host}: this server is offline and fetches nothing", code="url_offline")
        return parsed

    async def _follow(
        self, transport: httpx.AsyncHTTPTransport, request: _Request, bounds: Bounds
    ) -> tuple[_Request, httpx.Response]:
        allowed = bounds.redirects if request.method in SAFE else 0
        for left in range(allowed, -1, -1):
            response = await self._send(transport, request, bounds)
            location = response.headers.get("location")
            if response.status_code not in REDIRECTS or not location or not allowed:
                return request, response
            await response.aclose()
            if left:
                request = request.redirected(location)
        raise _failed(request.url, f"redirected more than {allowed} times")

    async def _send(self, transport: httpx.AsyncHTTPTransport, request: _Request, bounds: Bounds) -> httpx.Response:
        """The answer from the first address that takes the connection."""
        *first, last = await self._hosts.addresses(request.url.host, request.port)
        for address in first:
            try:
                return await transport.handle_async_request(request.at(address, bounds))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent: the next address of this host may be reachable
        return await transport.handle_async_request(request.at(last, bounds))

    def _transport(self) -> httpx.AsyncHTTPTransport:
        # nothing is kept alive: a connection to an address was made for one name, and is for no other
        alone = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=alone)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._make_tls()


def parse_url(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL that can be asked for: http or https, a host, no credentials; `base` is what a relative one is relative
    to. Raises Invalid."""
    try:
        parsed = (base.join(url) if base else httpx.URL(url)) if len(url) <= LONGEST_URL else None
    except (httpx.InvalidURL, UnicodeError):
        parsed = None
    if parsed is None or parsed.scheme not in PORTS or not parsed.host or not _valid_port(parsed.port):
        raise Invalid("not a URL that can be fetched: expected http(s)://host/...", code="url_refused")
    if parsed.userinfo:
        raise _refused(parsed, "the URL carries credentials")
    return parsed


def _valid_port(port: int | None) -> bool:
    return port is None or 0 < port < 65536


def media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _matches(told: str, wanted: Collection[str]) -> bool:
    return told in wanted or f"{told.partition('/')[0]}/*" in wanted


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def _for_anyone(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in ("accept", "accept-language")}


async def _whole(answer: Opened) -> Fetched:
    body = b"".join([piece async for piece in answer.pieces])
    return Fetched(answer.url, answer.status, answer.headers, body)


async def _bounded(response: httpx.Response, url: httpx.URL, size: int) -> AsyncGenerator[bytes, None]:
    """The body as it was sent: none was asked to be compressed, so none can unfold to more than was counted."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _failed(url, "answered with a compressed body")
    told = response.headers.get("content-length", "")
    left = size - (int(told) if told.isdigit() else 0)
    if left >= 0:
        left = size
        with _told(url):
            async for piece in response.aiter_raw():
                left -= len(piece)
                if left < 0:
                    break
                yield piece
    if left < 0:
        raise TooLarge(f"{url.host}: answered with more than {size} bytes", code="url_size")


@contextmanager
def _told(url: httpx.URL) -> Iterator[None]:
    """What goes wrong on the way, as an error of ours."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        raise _failed(url, "did not answer in time") from None
    except (httpx.TransportError, OSError, ValueError):
        raise _failed(url, "cannot be reached") from None


def _refused(url: httpx.URL, reason: str) -> Invalid:
    return Invalid(f"{url.host}: {reason}", code="url_refused")


def _failed(url: httpx.URL, reason: str, code: str = "url_failed") -> Invalid:
    return Invalid(f"{url.host}: {reason}", code=code)
