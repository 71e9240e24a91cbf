"""Handlers of the OpenRouter API."""

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import HaigaError, NotFound
from haiga.core.generation import Choice, Dropped, Finished, Routed
from haiga.core.records import Generation, Price
from haiga.services.choices import asked_by, interleave
from haiga.services.generations import recorded
from haiga.services.packing import fits, middle_out
from haiga.services.routing import Answers, first_that_answers, routed_replies
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.messages import Messages
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected
from haiga.wire.openrouter import models
from haiga.wire.openrouter.generation import periods, write_generation, write_key
from haiga.wire.openrouter.read import RouterRequest, read_router_chat
from haiga.wire.openrouter.stream import RouterStream
from haiga.wire.openrouter.write import write_router_chat

LIST = "/api/v1/models"
OLDEST_VERSION = (b"anthropic-version", b"2023-06-01")


class OpenRouter:
    """`clock` gives unix seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._messages = Messages(services)
        self._clock = clock

    async def chat(self, request: Request) -> Response:
        """Create a chat completion with the first of the models that can, whole or as server-sent events."""
        began = self._clock()
        caller = await authenticate(self._services.access, request)
        asked = read_router_chat(await request.body())
        draft = self._draft(request, caller, asked, began)
        names = asked.routing.candidates(self._services.inference.models(caller))
        answers = first_that_answers(names, lambda name, last: self._ask(caller, asked, name, last))
        events = recorded(answers, draft, self._services.generations, self._price, self._clock)
        try:
            response = await self._respond(request, events, asked, draft)
        except HaigaError as error:
            raise asked.chat.placed(error) from None
        response.headers["x-generation-id"] = draft.id
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
        draft: Generation,
    ) -> Response:
        form, created, reasoning = asked.chat.form, int(draft.created_at), asked.reasoning
        if form.stream:
            settings, model, price = self._services.settings, draft.asked_for, self._price
            writer = RouterStream(form, id=draft.id, model=model, created=created, price=price, reasoning=reasoning)
            rid, patience, ping = draft.request_id, settings.patience, settings.ping
            return await stream_reply(request, events, writer, id=rid, patience=patience, ping=ping)
        routed, whole = await while_connected(request, routed_replies(events))
        paid = self._price(routed.model)
        body = write_router_chat(
            whole, form, id=draft.id, routed=routed, created=created, price=paid, reasoning=reasoning
        )
        return Response(body, media_type="application/json")

    def _draft(self, request: Request, caller: Caller, asked: RouterRequest, began: float) -> Generation:
        """What is known of the answer before there is one."""
        headers = request.headers
        return Generation(
            id=self._services.settings.new_id("gen").replace("_", "-", 1),
            model="",
            workspace=caller.workspace,
            created_at=began,
            request_id=request_id(request.scope),
            asked_for=asked.routing.names[0],
            streamed=asked.chat.form.stream,
            user=asked.chat.request.user,
            session=asked.session,
            referer=headers.get("http-referer"),
            agent=headers.get("user-agent"),
        )

    def _price(self, model: str) -> Price:
        return self._services.prices.get(model, Price())

    async def messages(self, request: Request) -> Response:
        """Create a message in Anthropic's form. The version header, which that API demands, may be left out."""
        if "anthropic-version" not in request.headers:
            request = Request(
                {**request.scope, "headers": [*request.scope["headers"], OLDEST_VERSION]}, request.receive
            )
        return await self._messages.create(request)

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
        found = await self._services.generations.get(id, caller.workspace)
        if found is None:
            raise NotFound(f"Generation {id[:64]} not found")
        return _json(write_generation(found))

    async def key(self, request: Request) -> Response:
        """The caller's own key."""
        caller = await authenticate(self._services.access, request)
        store = self._services.generations
        spent = {name: await store.spent(caller.workspace, since) for name, since in periods(self._clock()).items()}
        return _json(write_key(caller.key or "no key", spent))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
