"""The stage that runs servers' tools: the model is asked again, with the results, until it has no more such calls.

Rule: one answer to the caller, whatever the number of rounds. Usage is the sum of the rounds, each with its own prompt;
`max_tokens` bounds all of them together. After the last round that is allowed the turn is paused, and the caller may
send it back to go on.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.errors import Invalid
from haiga.core.generation import Event, Finished, Reply, Started, TextRequest, Usage, total
from haiga.core.messages import Message, ServerToolUse, Toolset
from haiga.core.ports import Ask
from haiga.services.tools.calls import Calls
from haiga.services.tools.hosted import OWN, HostedTool
from haiga.services.tools.mcp import Connector, Server
from haiga.services.tools.offer import Offer
from haiga.services.tools.registry import Registry
from haiga.services.tools.rounds import Round

ROUNDS = 10


class ServerTools:
    """Tools of `registry`, and of the servers that `connector` reaches, for at most `rounds` rounds. `able` says
    whether the model of that name takes tools at all."""

    def __init__(
        self, registry: Registry, connector: Connector, able: Callable[[str], bool], rounds: int = ROUNDS
    ) -> None:
        self._registry = registry
        self._connector = connector
        self._able = able
        self._rounds = rounds

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        return self._answer(caller, request, ask) if self._concerns(caller, request) else ask(caller, request)

    async def prompted(self, caller: Caller, request: TextRequest) -> TextRequest:
        """The request with the tools that would be added to it, and its past calls as the model would read them."""
        if not self._concerns(caller, request):
            return request
        async with self._offer(caller, request) as offer:
            return offer.asked(request)

    async def _answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        used: list[Usage] = []
        calls, first = Calls(caller), 0
        async with self._offer(caller, request) as offer:
            asked = offer.asked(request)
            while True:
                round_ = Round(offer, calls, first)
                async with aclosing(round_.events(ask(caller, asked))) as events:
                    async for event in events:
                        if not (used and isinstance(event, Started)):
                            yield event
                assert round_.reply is not None
                used.append(round_.reply.usage)
                left = asked.max_tokens - round_.reply.usage.output
                if not round_.goes_on or len(used) == self._rounds or left < 1:
                    yield _end(round_, total(used), left)
                    return
                asked, first = _following(asked, offer, round_.reply, left), round_.next

    def _concerns(self, caller: Caller, request: TextRequest) -> bool:
        if request.raw is not None:
            return False
        called = any(isinstance(block, ServerToolUse) for message in request.messages for block in message.content)
        return bool(called or request.toolsets) or self._unasked(caller, request)

    def _unasked(self, caller: Caller, request: TextRequest) -> bool:
        return self._registry.always(caller) and self._able(request.model)

    @asynccontextmanager
    async def _offer(self, caller: Caller, request: TextRequest) -> AsyncIterator[Offer]:
        """The tools for this answer; connections are closed with it."""
        own, others = _own(request.toolsets)
        tools = list(self._registry.offered(caller, own, self._unasked(caller, request)))
        if request.tool_choice.mode == "none":
            tools, others = [], ()
        servers = [self._connector.server(toolset) for toolset in others]
        try:
            for toolset, found in zip(others, await _listed(servers), strict=True):
                tools += _marked(found, toolset)
            yield Offer(tools, [tool.name for tool in request.tools])
        finally:
            await asyncio.gather(*(server.close() for server in servers))


async def _listed(servers: list[Server]) -> list[list[HostedTool]]:
    """The tools of every server, asked at the same time. Raises the first complaint once all have answered."""
    found = await asyncio.gather(*(server.tools() for server in servers), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]


def _own(toolsets: tuple[Toolset, ...]) -> tuple[Toolset | None, tuple[Toolset, ...]]:
    """The one that asks for this server's own tools, and those of other servers. Raises Invalid for a server that
    nobody knows."""
    own = None
    for toolset in toolsets:
        if toolset.url is None and toolset.server == OWN:
            own = toolset
        elif toolset.url is None:
            raise Invalid(f"MCP server '{toolset.server[:64]}' not found in mcp_servers", field=toolset.path)
    return own, tuple(toolset for toolset in toolsets if toolset.url is not None)


def _marked(tools: list[HostedTool], toolset: Toolset) -> list[HostedTool]:
    """A cache mark on a toolset stands on the last of its tools."""
    if not tools or toolset.cache is None:
        return tools
    return [*tools[:-1], replace(tools[-1], cache=toolset.cache)]


def _following(asked: TextRequest, offer: Offer, reply: Reply, left: int) -> TextRequest:
    """The request for the next round. What was forced is done; the answer that a caller has begun goes on."""
    choice = asked.tool_choice
    free = replace(choice, mode="auto", name=None) if choice.mode in ("any", "tool") else choice
    before, said = asked.messages, reply.content
    if before[-1].role == "assistant":
        before, said = before[:-1], (*before[-1].content, *said)
    lived = offer.lived((Message("assistant", said),))
    return replace(asked, messages=(*before, *lived), max_tokens=left, tool_choice=free)


def _end(round_: Round, usage: Usage, left: int) -> Finished:
    """The end of the whole answer: that of its last round, unless the model was about to go on."""
    reply = round_.reply
    assert reply is not None
    stop = reply.stop if not round_.goes_on else "pause_turn" if left > 0 else "max_tokens"
    return Finished(stop, usage, reply.sequence, reply.cleared, reply.compacted)
