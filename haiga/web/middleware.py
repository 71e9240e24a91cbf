"""What happens to every request before and after its handler: pure ASGI, one class per concern.

Rule: nothing here knows a route. app.py fixes the order.
"""

import logging
import re
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haiga.core.errors import Cancelled, Denied, Failed, HaigaError, Invalid, TooLarge
from haiga.services import requests
from haiga.web.credentials import CACHE, MODERATION
from haiga.web.families import error_response
from haiga.web.limits import Stands, limit_headers, provider_headers

ID = re.escape("{id}")
REFUSED = (401, 403)
POLICY = 1008  # RFC 6455, section 7.4.1
LOOPBACK = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger(__name__)


class RequestIds:
    """Gives every request an id, and every answer the header that tells it, errors included, and those that tell its
    caller where it stands and whether the answer was kept from before. When it has ended the log tells of it, and
    `refused` of one that its caller was not let to ask."""

    def __init__(
        self, app: ASGIApp, new_id: Callable[[str], str], stands: Stands, refused: Callable[[requests.Asked], None]
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._stands = stands
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        id = self._new_id("req")
        scope.setdefault("state", {})["request_id"] = id
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        asked = requests.Asked(id, scope["method"], path, (scope.get("client") or (None,))[0])
        requests.asked.set(asked)  # for good: errors are told after the request, too, and each has its own context

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["request-id"] = headers["x-request-id"] = id
                headers.update(limit_headers(self._stands, scope, message["status"]))
                headers.update(_own_headers(scope) | provider_headers(scope))
                asked.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            asked.outcome = "failed"
            raise
        finally:
            _identify(asked, scope)
            requests.ended(asked)
            if asked.status in REFUSED:
                self._refused(asked)


def _identify(asked: requests.Asked, scope: Scope) -> None:
    """Who asked, and what went wrong where no model was asked."""
    if caller := scope["state"].get("caller"):
        asked.key, asked.workspace = caller.key, caller.workspace
    asked.outcome = asked.outcome or scope["state"].get("outcome")


def _own_headers(scope: Scope) -> dict[str, str]:
    """Whether the answer was kept from before, where it was looked for, and what policies made of the request."""
    caller = scope["state"].get("caller")
    if caller is None:
        return {}
    told = {CACHE: caller.origin.reuse.told, MODERATION: caller.origin.moderated.told}
    return {name: said for name, said in told.items() if said is not None}


class ErrorAnswers:
    """Turns whatever is raised below into the family's own error, as long as no answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun:
                raise
            await error_response(scope, _known(error))(scope, receive, send)


def _known(error: Exception) -> HaigaError:
    if isinstance(error, HaigaError):
        return error
    if isinstance(error, ClientDisconnect):
        return Cancelled("the client went away")
    log.error("unexpected error in a handler", exc_info=error)
    return Failed("Internal server error")


class OneHost:
    """A request with several Host headers is refused (RFC 9112, section 3.2): whoever looks at one of them and whoever
    acts on the other would be speaking of two servers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(Headers(scope=scope).getlist("host")) > 1:
            raise Invalid("there is more than one Host header")
        await self._app(scope, receive, send)


class LocalOnly:
    """On an open server any credential is good, so a web page must not reach it: not by a name of its own that it
    points at the loopback address (the Host header shows it), nor from another origin."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], origins: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in (*LOOPBACK, *hosts))
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] in ("http", "websocket"):
                self._check(Headers(scope=scope))
        except Denied:
            if scope["type"] == "http":
                raise
            await send({"type": "websocket.close", "code": POLICY})  # before it is open: 403
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        if _hostname("//" + headers.get("host", "")) not in self._hosts:
            raise Denied("this Host is not allowed; a server without API keys answers to local names only")
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if _hostname(origin) not in self._hosts:
            raise Denied("this Origin is not allowed")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # an unclosed bracket
        return None


class BodyLimit:
    """Refuses a body over `limit` bytes, by what it declares or else as soon as it exceeds it. `larger` are the paths
    with limits of their own; `{id}` in one stands for any."""

    def __init__(self, app: ASGIApp, limit: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._limit = limit
        self._larger = {re.compile(re.escape(path).replace(ID, "[^/]+")): most for path, most in larger.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        own = (most for path, most in self._larger.items() if path.fullmatch(scope["path"]))
        limit = next(own, self._limit)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
            raise _too_large(limit)
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise _too_large(limit)
            return message

        return await self._app(scope, counted, send)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"Request exceeds the maximum size of {limit} bytes")
