"""One round of an answer: what the model says, its calls to servers carried out meanwhile.

Rule: a call begins as soon as its arguments are whole; results stand right behind the calls, before anything else that
the model says.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Echo,
    Event,
    Finished,
    Folder,
    Plain,
    Progress,
    Reply,
    Started,
    unquoted,
)
from haiga.core.messages import Block, ServerToolResult, ServerToolUse, Text, ToolUse
from haiga.services.tools.calls import Calls
from haiga.services.tools.hosted import HostedTool, Outcome
from haiga.services.tools.offer import Offer


def new_call_id() -> str:
    """An id for a call to a server, as the Messages API writes them."""
    return f"mcptoolu_{secrets.token_hex(12)}"


class Round:
    """The events of one round, from block number `first` on. Afterwards `reply` is what was said, with its own usage,
    and `goes_on` whether the model waits for results of servers alone."""

    def __init__(self, offer: Offer, calls: Calls, first: int) -> None:
        self._offer = offer
        self._calls = calls
        self.next = first
        self._folder = Folder()
        self._running: list[tuple[str, asyncio.Task[Outcome]]] = []
        self._calling: HostedTool | None = None
        self.reply: Reply | None = None

    async def events(self, answer: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """What the caller is shown, but for the end."""
        try:
            async with aclosing(answer) as events:
                async for told in events:
                    if (event := unquoted(told)) is None:
                        continue
                    if self._ends_calls(event):
                        for result in await self._results():
                            yield result
                    shown = self._shown(event)
                    if not isinstance(event, Finished):
                        yield shown
            self.reply = self._folder.reply()
        finally:
            await self._give_up()

    @property
    def goes_on(self) -> bool:
        if self.reply is None or self.reply.stop != "tool_use":
            return False
        return not any(isinstance(block, ToolUse) for block in self.reply.content)

    def _ends_calls(self, event: Plain) -> bool:
        """Whether the calls so far have to be answered before this is said."""
        if isinstance(event, BlockStarted):
            return self._offer.tool(event.block) is None
        return isinstance(event, Finished)

    def _shown(self, event: Plain) -> Plain:
        match event:
            case Started() | Progress() | Finished() | Echo():
                self._folder.add(event)
                return event
            case BlockStarted():
                return self._open(event)
        shown = replace(event, index=self.next - 1)
        done = self._folder.add(shown)
        if isinstance(done, ServerToolUse) and self._calling:
            work = self._calls.carried_out(self._calling, done.input)
            self._running.append((done.id, asyncio.create_task(work, name=done.id)))
        return shown

    def _open(self, event: BlockStarted) -> Plain:
        block = event.block
        self._calling = self._offer.tool(block)
        if self._calling and isinstance(block, ToolUse):
            block = ServerToolUse(new_call_id(), self._calling.server, self._calling.name, block.input)
        return self._started(block)

    def _started(self, block: Block) -> BlockStarted:
        shown = BlockStarted(self.next, block)
        self._folder.add(shown)
        self.next += 1
        return shown

    async def _results(self) -> list[Event]:
        """The results of the calls under way, in the order of the calls."""
        running, self._running = self._running, []
        outcomes = await asyncio.gather(*(task for _, task in running)) if running else []
        return [
            event
            for (id, _), outcome in zip(running, outcomes, strict=True)
            for event in self._told(ServerToolResult(id, (Text(outcome.text),), outcome.is_error))
        ]

    def _told(self, result: ServerToolResult) -> Iterator[Event]:
        started = self._started(result)
        stopped = BlockStopped(started.index)
        self._folder.add(stopped)
        yield from (started, stopped)

    async def _give_up(self) -> None:
        tasks = [task for _, task in self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
