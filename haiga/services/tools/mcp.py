"""Servers of the Model Context Protocol: their tools, and calls of them.

Rule: a connection lives in a task of its own, since its scopes have to be left where they were entered, and no longer
than one answer.
"""

import asyncio
import importlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from haiga.core.errors import Failed, HaigaError, Invalid
from haiga.core.messages import Tool, Toolset
from haiga.services.fetch import Fetch
from haiga.services.tools.hosted import LIMIT, TIMEOUT, HostedTool, Outcome

if TYPE_CHECKING:
    from haiga.services.tools.session import Session

CONNECT = 15.0  # seconds to connect and be told of tools
PARTING = 2.0  # seconds to end a session properly
MOST_TOOLS = 256
SESSION = "haiga.services.tools.session"  # imported with the first server: the library takes most of a second


class Connector:
    """Connections to servers through `fetch`; a call may take `timeout` seconds, its result `limit` bytes."""

    def __init__(self, fetch: Fetch, timeout: float = TIMEOUT, limit: int = LIMIT) -> None:
        self._fetch = fetch
        self._timeout = timeout
        self._limit = limit

    def server(self, toolset: Toolset) -> "Server":
        """A server that was asked for, not connected yet."""
        return Server(toolset, self._fetch, self._timeout, self._limit)


class Server:
    """A server, connected to when it is first needed."""

    def __init__(self, toolset: Toolset, fetch: Fetch, timeout: float, limit: int) -> None:
        self._toolset = toolset
        self._fetch = fetch
        self._timeout = timeout
        self._limit = limit
        self._session: asyncio.Future[Session] | None = None
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def tools(self) -> list[HostedTool]:
        """The tools that the caller wants of it; the server is asked, unless the caller has told them. Raises Invalid
        when it cannot be reached."""
        asked = self._toolset
        listed = asked.listed if asked.listed is not None else await self._listed()
        wanted = [self._hosted(tool) for tool in listed if asked.offers(tool.name)]
        if len(wanted) > MOST_TOOLS:
            raise Invalid(f"MCP server '{asked.server}' has more than {MOST_TOOLS} tools", field=asked.path)
        return wanted

    async def close(self) -> None:
        """End the session."""
        if self._task is None:
            return
        self._over.set()
        await asyncio.wait([self._task], timeout=PARTING)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _hosted(self, tool: Tool) -> HostedTool:
        return HostedTool(
            self._toolset.server,
            tool.name,
            partial(self._call, tool.name),
            tool.description,
            tool.schema,
            self._timeout,
            self._limit,
        )

    async def _listed(self) -> tuple[Tool, ...]:
        try:
            async with asyncio.timeout(CONNECT):
                return await (await self._connected()).tools(MOST_TOOLS)
        except Exception as error:  # of any kind: what a server says may break the client in many ways
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Invalid:
        timeout = f"it did not answer within {CONNECT:g} seconds" if isinstance(error, TimeoutError) else ""
        reason = timeout or (error.message if isinstance(error, HaigaError) else _reason(error))
        name = self._toolset.server
        text = f"Connection error while communicating with MCP server '{name}': {reason[:300]}"
        return Invalid(text, field=self._toolset.path)

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        return await (await self._connected()).call(name, arguments)

    async def _connected(self) -> "Session":
        if self._session is None:
            self._session = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._keep(self._session), name=f"mcp {self._toolset.server}")
        return await asyncio.shield(self._session)

    async def _keep(self, connected: "asyncio.Future[Session]") -> None:
        """Be connected until the answer is over."""
        asked = self._toolset
        token = {"authorization": f"Bearer {asked.token}"} if asked.token else {}
        try:
            protocol = await asyncio.to_thread(importlib.import_module, SESSION)
            async with protocol.connected(asked.url, {**asked.headers, **token}, self._fetch) as session:
                connected.set_result(session)
                await self._over.wait()
        except Exception as error:
            if not connected.done():
                connected.set_exception(error if isinstance(error, HaigaError) else Failed(_reason(error)))
                connected.exception()  # seen, also when nobody waits for it any more


def _reason(error: BaseException) -> str:
    """The innermost complaint of a group of them."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return str(error) or type(error).__name__
