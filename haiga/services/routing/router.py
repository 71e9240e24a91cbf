"""The outermost stage: a route's name becomes the models behind it, one after the other until one answers.

Rule: the next one is tried only while nothing of an answer was given, so that no answer is ever made of two. Each try
is a request of its own to all that stands behind this stage: it is held to limits, and recorded, by itself.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from haiga.core.access import Caller
from haiga.core.errors import Busy, Denied, Failed, HaigaError, Limited, NotFound
from haiga.core.generation import Event, Served, Started, TextRequest, sourced
from haiga.core.messages import text_of
from haiga.core.ports import Ask, Capabilities, ModelCard
from haiga.core.routes import Route
from haiga.services.routing.begun import says_something
from haiga.services.routing.reasons import THEIRS, TIMEOUT, reason_of

Cards = Callable[[Caller, str], ModelCard]


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer under way: what it gave so far, and the rest."""

    held: Sequence[Event]
    rest: AsyncGenerator[Event, None]


class Router:
    """`routes` in the order in which their patterns are looked at; `card` gives a model that a caller may ask, or
    raises. `clock` gives seconds."""

    def __init__(self, routes: Sequence[Route], card: Cards, clock: Callable[[], float] = time.monotonic) -> None:
        self._routes = _ordered(routes)
        self._card = card
        self._clock = clock
        self._resting: dict[str, float] = {}

    def become(self, routes: Sequence[Route]) -> bool:
        """Have other routes from now on; False when they are the same."""
        former, self._routes = self._routes, _ordered(routes)
        return former != self._routes

    def route(self, name: str) -> Route | None:
        """The route that answers to a name."""
        return next((route for route in self._routes if route.answers_to(name)), None)

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        route = self.route(request.model)
        return ask(caller, request) if route is None else self._routed(caller, request, ask, route)

    def cards(self, caller: Caller) -> list[ModelCard]:
        """The routes that have a name, as models, where the caller may ask one of theirs."""
        named = (route for route in self._routes if "*" not in route.name)
        return [card for route in named if (card := self._together(caller, route, route.name)) is not None]

    def card(self, caller: Caller, name: str) -> ModelCard | None:
        """What the models behind a name can do together; None for a name that is no route's. Raises Denied for one
        whose models the caller may not ask."""
        route = self.route(name)
        if route is None:
            return None
        card = self._together(caller, route, name)
        if card is None:
            raise Denied(f"this API key may not use the model {name}", field="model")
        return card

    def first(self, caller: Caller, request: TextRequest) -> str:
        """The model that would be asked first. Raises Denied."""
        route = self.route(request.model)
        return request.model if route is None else self._order(caller, request, route)[0].name

    async def _routed(
        self, caller: Caller, request: TextRequest, ask: Ask, route: Route
    ) -> AsyncGenerator[Event, None]:
        known = replace(caller.origin, asked_for=caller.origin.asked_for or request.model)
        caller = replace(caller, origin=known)
        begun = await self._begin(caller, request, ask, route)
        async with aclosing(begun.rest) as rest:
            for held in begun.held:
                yield held
            async for event in rest:
                yield event

    async def _begin(self, caller: Caller, request: TextRequest, ask: Ask, route: Route) -> _Begun:
        """The first answer that begins. Raises what the last one raised, or what no other one could mend."""
        *others, last = self._ready(self._order(caller, request, route))
        for card in others:
            try:
                return await self._try(caller, _to(request, card), ask, route.timeout)
            except HaigaError as error:
                self._note(card.name, error)
                if reason_of(error) not in route.on:
                    raise
        try:
            return await self._try(caller, _to(request, last), ask, None)
        except HaigaError as error:
            self._note(last.name, error)
            raise

    def _order(self, caller: Caller, request: TextRequest, route: Route) -> list[ModelCard]:
        """The models that the caller may ask, in their order for this conversation."""
        allowed = self._allowed(caller, route.order(_conversation(caller, request)))
        if not allowed:
            raise Denied(f"this API key may not use the model {request.model}", field="model")
        return allowed

    def _allowed(self, caller: Caller, names: Sequence[str]) -> list[ModelCard]:
        found = []
        for name in names:
            try:
                found.append(self._card(caller, name))
            except (Denied, NotFound):
                continue
        return found

    def _ready(self, cards: Sequence[ModelCard]) -> Sequence[ModelCard]:
        """Those that have not said to come back later. Raises Limited when all have."""
        now = self._clock()
        ready = [card for card in cards if self._resting.get(card.name, now) <= now]
        if not ready:
            wait = min(self._resting[card.name] for card in cards) - now
            raise Limited("every model of this name is over a limit", retry_after=wait, code=THEIRS)
        return ready

    def _note(self, name: str, error: HaigaError) -> None:
        """Whoever says when to come back is left alone until then."""
        theirs = isinstance(error, Busy) or (isinstance(error, Limited) and error.code == THEIRS)
        if theirs and isinstance(error, Busy | Limited):
            self._resting[name] = self._clock() + error.retry_after

    async def _try(self, caller: Caller, request: TextRequest, ask: Ask, patience: float | None) -> _Begun:
        """An answer that has begun: with the first event that says something."""
        answer = ask(caller, request)
        held: list[Event] = []
        try:
            async with asyncio.timeout(patience) as limit:
                async for event in answer:
                    held.append(_named(event, request.model))
                    if says_something(event):
                        break
        except TimeoutError:
            await answer.aclose()
            if not limit.expired():
                raise
            raise Failed(f"{request.model} did not begin to answer within {patience:g} s", code=TIMEOUT) from None
        except BaseException:
            await answer.aclose()
            raise
        return _Begun(held, answer)

    def _together(self, caller: Caller, route: Route, name: str) -> ModelCard | None:
        cards = self._allowed(caller, route.models)
        if not cards:
            return None
        able = {field: any(getattr(card.capabilities, field) for card in cards) for field in _ABLE}
        forms = tuple(dict.fromkeys(form for card in cards for form in card.forms))
        return ModelCard(
            name,
            name,
            max(card.created for card in cards),
            max(card.context for card in cards),
            max(card.max_output for card in cards),
            Capabilities(**able),
            forms=forms,
        )


_ABLE = tuple(name for name in Capabilities.__dataclass_fields__ if name != "embeddings")


def _to(request: TextRequest, card: ModelCard) -> TextRequest:
    """The request to one of the models: where the caller left it open, the answer may be as long as it can be there."""
    made = replace(request, model=card.name, max_tokens=card.max_output if request.unbounded else request.max_tokens)
    return made if made.source is None else sourced(made, made.source)


def _named(event: Event, model: str) -> Event:
    """An answer says whose it is."""
    return Started(event.usage, Served(model)) if isinstance(event, Started) and event.by is None else event


def _conversation(caller: Caller, request: TextRequest) -> str:
    """What stays the same from one turn to the next."""
    if caller.origin.session:
        return f"{caller.workspace}\0{caller.origin.session}"
    first = request.messages[0].content if request.messages else ()
    return f"{caller.workspace}\0{text_of(request.system)}\0{text_of(first)}"


def _ordered(routes: Sequence[Route]) -> tuple[Route, ...]:
    """Plain names before patterns."""
    return (*(route for route in routes if "*" not in route.name), *(route for route in routes if "*" in route.name))
