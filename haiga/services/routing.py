"""Several models that may answer: the first that can, does.

Rule: the next one is tried only while nothing of an answer was given. A request reaches this place well formed, so that
whatever one model refuses, the next may take.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from haiga.core.errors import Cancelled, Failed, HaigaError
from haiga.core.generation import Choice, Finished, Progress, Reply, Routed, Started
from haiga.services.choices import replies

Answers: TypeAlias = AsyncGenerator[Choice | Finished, None]
Ask: TypeAlias = Callable[[str], tuple[str, Answers]]


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer under way: who gives it, what it gave so far, and the rest."""

    model: str
    held: Sequence[Choice | Finished]
    rest: Answers


async def first_that_answers(names: Sequence[str], ask: Ask) -> AsyncGenerator[Routed | Choice | Finished, None]:
    """Who answers, then its events. `ask` gives a name's model and its answers; what either raises before the answer
    says anything passes to the next name, and what the last one raises is raised.
    """
    begun = await _begin(names, ask)
    async with aclosing(begun.rest) as rest:
        yield Routed(begun.model)
        for held in begun.held:
            yield held
        async for item in rest:
            yield item


async def routed_replies(answers: AsyncGenerator[Routed | Choice | Finished, None]) -> tuple[str, list[Reply]]:
    """Who answered, and the whole answers."""
    async with aclosing(answers):
        first = await anext(answers)
        if not isinstance(first, Routed):
            raise Failed("the answer does not say whose it is")
        return first.model, await replies(answers)


async def _begin(names: Sequence[str], ask: Ask) -> _Begun:
    for name in names[:-1]:
        try:
            return await _try(name, ask, patient=True)
        except Cancelled:
            raise
        except HaigaError:
            continue
    # Nobody is left to pass the last one's failure to, so there is nothing to wait for.
    return await _try(names[-1], ask, patient=False)


async def _try(name: str, ask: Ask, *, patient: bool) -> _Begun:
    """An answer that has begun: with its first event or, if `patient`, with the first that says something."""
    model, answers = ask(name)
    held = []
    try:
        async for item in answers:
            held.append(item)
            if not patient or _says_something(item):
                break
    except BaseException:
        await answers.aclose()
        raise
    return _Begun(model, held, answers)


def _says_something(item: Choice | Finished) -> bool:
    return not (isinstance(item, Choice) and isinstance(item.event, Started | Progress))
