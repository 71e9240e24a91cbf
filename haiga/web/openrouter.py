"""Handlers of the OpenRouter API."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller, Origin
from haiga.core.errors import HaigaError, NotFound
from haiga.core.generation import Choice, Dropped, Finished, Routed
from haiga.core.limits import DOLLAR, Limits
from haiga.core.records import Price
from haiga.services.choices import asked_by, interleave, watched
from haiga.services.moderation.beside import BesideJudge
from haiga.services.packing import fits, middle_out
from haiga.services.routing import Answers, first_that_answers, routed_replies
from haiga.web.choosing import candidates
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected
from haiga.wire.openai_moderations.beside import Beside
from haiga.wire.openrouter import models
from haiga.wire.openrouter.generation import periods, write_credits, write_generation, write_key, write_providers
from haiga.wire.openrouter.read import RouterRequest, read_router_chat
from haiga.wire.openrouter.stream import RouterStream
from haiga.wire.openrouter.write import write_router_chat

LIST = "/api/v1/models"


class OpenRouter:
    """`clock` gives unix seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._clock = clock

    async def chat(self, request: Request) -> Response:
        """Create a chat completion with the first of the models that can, whole or as server-sent events."""
        created = int(self._clock())
        known = await authenticate(self._services.access, request)
        asked = read_router_chat(await request.body())
        id = self._services.settings.new_id("gen").replace("_", "-", 1)
        caller = replace(known, origin=_asked_about(known.origin, asked, id))
        names = candidates(self._services, caller, asked.routing, asked.meant)
        events, beside = first_that_answers(names, lambda name, last: self._ask(caller, asked, name, last)), Beside()
        if wanted := asked.chat.judged:
            judge = BesideJudge(self._services.inference, caller, asked.chat.request, wanted)
            events = watched(events, partial(judge.tell, beside))
        try:
            response = await self._respond(request, events, asked, id, created, beside)
        except HaigaError as error:
            raise asked.chat.placed(error) from None
        response.headers["x-generation-id"] = id
        return response

    async def _ask(self, caller: Caller, asked: RouterRequest, name: str, last: bool) -> tuple[Routed, Answers]:
        """One model's answers to the request. Raises NotFound and Invalid when it cannot be asked for them."""
        inference = self._services.inference
        card = inference.model(caller, name)
        asked.routing.check(card, self._price(card.name))
        choices, dropped = asked.choices(card), Dropped()
        count = partial(inference.count, caller)
        if asked.compresses(card, last) and not await fits(choices[0], card.context - 1, count):
            limit = asked.prompt_limit(card)
            packed, dropped = await middle_out(choices[0], limit, count)
            choices = tuple(replace(choice, messages=packed.messages) for choice in choices)
        callers = asked_by(caller, choices)
        answers = interleave([inference.generate(by, choice) for by, choice in zip(callers, choices, strict=True)])
        return Routed(card.name, dropped), answers

    async def _respond(
        self,
        request: Request,
        events: AsyncGenerator[Routed | Choice | Finished, None],
        asked: RouterRequest,
        id: str,
        created: int,
        beside: Beside,
    ) -> Response:
        form, reasoning = asked.chat.form, asked.reasoning
        if form.stream:
            settings, model, price = self._services.settings, asked.routing.names[0], self._price
            writer = RouterStream(
                form, id=id, model=model, created=created, price=price, reasoning=reasoning, beside=beside
            )
            rid, patience, ping = request_id(request.scope), settings.patience, settings.ping
            return await stream_reply(request, events, writer, id=rid, patience=patience, ping=ping)
        routed, whole = await while_connected(request, routed_replies(events))
        paid = self._price(routed.model)
        body = write_router_chat(
            whole, form, id=id, routed=routed, created=created, price=paid, reasoning=reasoning, beside=beside
        )
        return Response(body, media_type="application/json")

    def _price(self, model: str) -> Price:
        return self._services.prices.get(model, Price())

    # --- models ---

    async def models(
        self,
        request: Request,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
        q: str = "",
        supported_parameters: str = "",
    ) -> Response:
        """List the models with their prices and what they take."""
        caller = await authenticate(self._services.access, request)
        needed = tuple(name for part in supported_parameters.split(",") if (name := part.strip()))
        page = models.Page(offset, limit, q, needed)
        cards = self._services.inference.models(caller)
        return _json(models.write_models(cards, self._services.prices, page, LIST))

    async def count_models(self, request: Request) -> Response:
        """How many models there are."""
        caller = await authenticate(self._services.access, request)
        return _json(models.write_count(self._services.inference.models(caller)))

    async def model(self, request: Request, id: str) -> Response:
        """One model."""
        caller = await authenticate(self._services.access, request)
        card = self._services.inference.model(caller, id)
        return _json(models.write_model(card, self._price(card.name)))

    async def endpoints(self, request: Request, id: str) -> Response:
        """Who serves one model: this server."""
        caller = await authenticate(self._services.access, request)
        card = self._services.inference.model(caller, id)
        return _json(models.write_endpoints(card, self._price(card.name)))

    # --- what was used ---

    async def generation(self, request: Request, id: str) -> Response:
        """What one answered request used and cost."""
        caller = await authenticate(self._services.access, request)
        ledger = self._services.ledger
        found = await ledger.generation(id, caller.workspace) if ledger else None
        if found is None:
            raise NotFound(f"Generation {id[:64]} not found")
        return _json(write_generation(found))

    async def key(self, request: Request) -> Response:
        """The caller's own key."""
        caller = await authenticate(self._services.access, request)
        own = self._own(caller)
        spent = {name: await self._spent(own, since) for name, since in periods(self._clock()).items()}
        limits = _limits(caller)
        return _json(
            write_key(caller.key or "no key", spent, _budget(caller), admin=caller.admin, requests=limits.requests)
        )

    async def credits(self, request: Request) -> Response:
        """What the caller's key may spend, and what it has spent."""
        caller = await authenticate(self._services.access, request)
        own, budget = self._own(caller), _budget(caller)
        left = (
            None
            if budget is None
            else max(Decimal(0), budget - await self._spent(own, periods(self._clock())["usage_monthly"]))
        )
        return _json(write_credits(await self._spent(own, 0), left))

    async def providers(self, request: Request) -> Response:
        """Who serves models here: this server, and its upstreams."""
        caller = await authenticate(self._services.access, request)
        return _json(write_providers([card.provider for card in self._services.inference.models(caller)]))

    def _own(self, caller: Caller) -> Mapping[str, str]:
        """By what the caller's own spending is told from that of others."""
        return {"key": caller.key} if caller.key else {"workspace": caller.workspace}

    async def _spent(self, own: Mapping[str, str], since: float) -> Decimal:
        """US dollars since a unix second."""
        ledger = self._services.ledger
        return Decimal(await ledger.spent(own, since) if ledger else 0) / DOLLAR


def _limits(caller: Caller) -> Limits:
    """Those of the caller's own key."""
    return next((owner.limits for owner in caller.owners if owner.id == caller.key), Limits())


def _budget(caller: Caller) -> Decimal | None:
    """US dollars a month."""
    budget = _limits(caller).budget
    return None if budget is None else Decimal(budget) / DOLLAR


def _asked_about(origin: Origin, asked: RouterRequest, id: str) -> Origin:
    """The request, so that it can be asked about under the id of its answer."""
    names, stream = asked.routing.names, asked.chat.form.stream
    return replace(origin, answer=id, asked_for=names[0], streamed=stream, session=asked.session)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
