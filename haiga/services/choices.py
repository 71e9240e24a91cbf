"""Several answers, to one prompt or to a few, under way at the same time.

Rule: the first failure ends all of them, and closing the stream closes every one.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias, TypeVar

from haiga.core.access import Caller
from haiga.core.errors import Failed
from haiga.core.generation import Choice, Event, Finished, Folder, Reply, Routed, TextRequest, together

Item = TypeVar("Item", Choice | Finished, Routed | Choice | Finished)
Done: TypeAlias = Callable[[Sequence[Reply]], Awaitable[None]]
AHEAD = 64  # events that the answers together may be ahead of their reader
AT_ONCE = 16  # answers of one call under way; the rest wait, so that one caller cannot fill an engine's queue


def asked_by(caller: Caller, requests: Sequence[TextRequest], each: int | None = None) -> list[Caller]:
    """Who asks for each answer, `each` of them to one prompt, None for all: it is counted with the first."""
    answers = each or len(requests)
    first = replace(caller, origin=replace(caller.origin, answers=answers))
    again = replace(first, origin=replace(first.origin, again=True))
    return [again if at % answers else first for at in range(len(requests))]


async def interleave(
    answers: Sequence[AsyncGenerator[Event, None]], each: int | None = None
) -> AsyncGenerator[Choice | Finished, None]:
    """The answers' events as they come, each with its answer's index; at the end a Finished with their usage together.

    `each` is how many of them answer the same prompt, None for all. Raises Failed when an answer ends without its own
    Finished, and whatever an answer raises.
    """
    ends: dict[int, Finished] = {}
    async with aclosing(_merged(answers)) as items:
        async for item in items:
            if isinstance(item.event, Finished):
                ends[item.index] = item.event
            yield item
    if len(ends) < len(answers):
        raise Failed("the model's answer ended early")
    yield Finished("end_turn", together([ends[i].usage for i in sorted(ends)], each or len(answers)))


def _merged(answers: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Choice, None]:
    return _alone(answers[0]) if len(answers) == 1 else _queued(answers)


async def _alone(answer: AsyncGenerator[Event, None]) -> AsyncGenerator[Choice, None]:
    async with aclosing(answer):
        async for event in answer:
            yield Choice(0, event)


async def _queued(answers: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Choice, None]:
    queue: asyncio.Queue[Choice | BaseException | None] = asyncio.Queue(AHEAD)
    turn = asyncio.Semaphore(AT_ONCE)
    tasks = [asyncio.ensure_future(_pass_on(i, answer, queue, turn)) for i, answer in enumerate(answers)]
    under_way = len(tasks)
    try:
        while under_way:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                under_way -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(
    index: int,
    answer: AsyncGenerator[Event, None],
    queue: "asyncio.Queue[Choice | BaseException | None]",
    turn: asyncio.Semaphore,
) -> None:
    try:
        async with turn, aclosing(answer):
            async for event in answer:
                await queue.put(Choice(index, event))
        await queue.put(None)
    except Exception as error:
        await queue.put(error)


async def replies(answers: AsyncGenerator[Routed | Choice | Finished, None]) -> list[Reply]:
    """The whole answers, by index."""
    folders: dict[int, Folder] = {}
    async with aclosing(answers):
        async for item in answers:
            if isinstance(item, Choice):
                folders.setdefault(item.index, Folder()).add(item.event)
    return [folders[i].reply() for i in sorted(folders)]


async def watched(answers: AsyncGenerator[Item, None], done: Done) -> AsyncGenerator[Item, None]:
    """The events as they are; `done` gets the whole answers before their end is told, and never parts of them."""
    folders: dict[int, Folder] = {}
    async with aclosing(answers):
        async for item in answers:
            if isinstance(item, Choice):
                folders.setdefault(item.index, Folder()).add(item.event)
            elif isinstance(item, Finished):
                await done([folders[i].reply() for i in sorted(folders)])
            yield item


async def heard(answer: AsyncGenerator[Event, None], done: Done) -> AsyncGenerator[Event, None]:
    """As `watched`, of one answer."""
    folder = Folder()
    async with aclosing(answer):
        async for event in answer:
            folder.add(event)
            if isinstance(event, Finished):
                await done((folder.reply(),))
            yield event
