"""One session of the Model Context Protocol, over streamable HTTP.

Rule: every request of the protocol goes through the guarded fetcher, and nothing that a server says unasked is listened
to. Only this file knows the protocol's own library.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import EmbeddedResource, ResourceLink, TextContent, TextResourceContents

from haiga.core.errors import HaigaError
from haiga.core.messages import Tool
from haiga.services.fetch import Bounds, Fetch, Opened
from haiga.services.tools.hosted import TIMEOUT, Outcome

BOUNDS = Bounds(size=4 << 20, total=600.0, pause=TIMEOUT, redirects=0)  # of one answer of the protocol


@asynccontextmanager
async def connected(url: str, headers: Mapping[str, str], fetch: Fetch) -> AsyncIterator["Session"]:
    """A session with the server at `url`. Raises core errors for an address that is refused, and whatever else goes
    wrong as the library has it."""
    way = _Guarded(fetch)
    try:
        async with (
            httpx2.AsyncClient(transport=way, headers=dict(headers), timeout=None, trust_env=False) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield Session(client)
    except Exception:
        if way.refusal is not None:
            raise way.refusal from None
        raise


class Session:
    """What can be asked of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self, most: int) -> tuple[Tool, ...]:
        """Its tools, page by page, until there are more than `most`."""
        found: list[Tool] = []
        cursor: str | None = None
        while len(found) <= most:
            page = await self._client.list_tools(cursor=cursor)
            found += [Tool(tool.name, tool.description or "", tool.input_schema) for tool in page.tools]
            if not page.next_cursor or page.next_cursor == cursor:
                break
            cursor = page.next_cursor
        return tuple(found)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """What a tool answers. Raises what the library raises."""
        result = await self._client.call_tool(name, dict(arguments))
        told = [text for block in result.content if (text := _text(block))]
        if not told and result.structured_content is not None:
            told = [json.dumps(result.structured_content, ensure_ascii=False)]
        return Outcome("\n".join(told), result.is_error)


def _text(block: object) -> str:
    """A part of a result as text; what is none is named."""
    match block:
        case TextContent():
            return block.text
        case EmbeddedResource(resource=TextResourceContents(text=text)):
            return text
        case ResourceLink():
            return f"[{block.name}: {block.uri}]"
    return f"[{getattr(block, 'type', 'content')} left out: {getattr(block, 'mime_type', 'not text')}]"


class _Guarded(httpx2.AsyncBaseTransport):
    """The guarded fetcher as the client's way out. `refusal` is its first error."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self.refusal: HaigaError | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and "last-event-id" not in request.headers:
            return httpx2.Response(405, request=request)  # nothing that a server says unasked is listened to
        opening = self._fetch.open(
            request.method,
            str(request.url),
            headers=dict(request.headers),
            body=await request.aread(),
            bounds=BOUNDS,
        )
        try:
            answer = await opening.__aenter__()
        except HaigaError as error:
            self.refusal = self.refusal or error
            raise httpx2.ConnectError(error.message, request=request) from None
        return httpx2.Response(
            answer.status, headers=dict(answer.headers), stream=_Body(opening, answer), request=request
        )


class _Body(httpx2.AsyncByteStream):
    """An answer's body, as the client reads it; closing it closes the connection."""

    def __init__(self, opening: AbstractAsyncContextManager[Opened], answer: Opened) -> None:
        self._opening = opening
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._answer.pieces:
                yield piece
        except HaigaError as error:
            raise httpx2.ReadError(error.message) from None

    async def aclose(self) -> None:
        await self._opening.__aexit__(None, None, None)
