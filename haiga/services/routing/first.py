"""Several models that may answer: the first that can, does.

Rule: the next one is tried only while nothing of an answer was given. A request reaches this place well formed, so that
whatever one model refuses, the next may take.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from haiga.core.errors import Cancelled, Failed, HaigaError
from haiga.core.generation import Choice, Finished, Reply, Routed
from haiga.services.choices import replies
from haiga.services.routing.begun import says_something

Answers: TypeAlias = AsyncGenerator[Choice | Finished, None]
Ask: TypeAlias = Callable[[str, bool], Awaitable[tuple[Routed, Answers]]]


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer under way: who gives it, what it gave so far, and the rest."""

    routed: Routed
    held: Sequence[Choice | Finished]
    rest: Answers


async def first_that_answers(names: Sequence[str], ask: Ask) -> AsyncGenerator[Routed | Choice | Finished, None]:
    """Who answers, then its events.

    `ask` gives a name's model and its answers, and is told whether the name is the last one. What it or the answers
    raise before they say anything passes to the next name; what the last one raises is raised.
    """
    begun = await _begin(names, ask)
    async with aclosing(begun.rest) as rest:
        yield begun.routed
        for held in begun.held:
            yield held
        async for item in rest:
            yield item


async def routed_replies(answers: AsyncGenerator[Routed | Choice | Finished, None]) -> tuple[Routed, list[Reply]]:
    """Who answered, and the whole answers."""
    async with aclosing(answers):
        first = await anext(answers)
        if not isinstance(first, Routed):
            raise Failed("the answer does not say whose it is")
        return first, await replies(answers)


async def _begin(names: Sequence[str], ask: Ask) -> _Begun:
    for name in names[:-1]:
        try:
            return await _try(name, ask, last=False)
        except Cancelled:
            raise
        except HaigaError:
            continue
    # Nobody is left to pass the last one's failure to, so there is nothing to wait for.
    return await _try(names[-1], ask, last=True)


async def _try(name: str, ask: Ask, *, last: bool) -> _Begun:
    """An answer that has begun: with the first event that says something or, if it is the last one, with any."""
    routed, answers = await ask(name, last)
    held = []
    try:
        async for item in answers:
            held.append(item)
            if last or _says_something(item):
                break
    except BaseException:
        await answers.aclose()
        raise
    return _Begun(routed, held, answers)


def _says_something(item: Choice | Finished) -> bool:
    return isinstance(item, Finished) or says_something(item.event)
