"""Handlers of OpenRouter's Messages and Responses: those forms, answered by the first of the models that can.

Rule: nothing is kept between requests; a form is read and written as its own API's, routing aside.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import Failed, HaigaError, NotFound
from haiga.core.generation import Choice, Dropped, Event, Finished, Folder, Progress, Routed, TextRequest
from haiga.core.records import Price
from haiga.services.choices import interleave
from haiga.services.packing import fits, middle_out
from haiga.services.routing import Answers, first_that_answers
from haiga.web.choosing import candidates
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.messages import betas
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected
from haiga.wire.anthropic.messages_in import read_message
from haiga.wire.anthropic.messages_out import MessageStream, write_message
from haiga.wire.openai_chat.stream import progress_comment
from haiga.wire.openai_responses import write
from haiga.wire.openai_responses.read import Prompt, ResponseRequest, read_response
from haiga.wire.openai_responses.stream import ResponseWriter
from haiga.wire.openrouter.routing import Routing, prompt_limit, read_routed
from haiga.wire.openrouter.write import costs
from haiga.wire.sse import comment, frame

OLDEST_VERSION = "2023-06-01"
STATEFUL = ("previous_response_id", "conversation", "background")
Items: TypeAlias = AsyncGenerator[Routed | Choice | Finished, None]


class Told(Protocol):
    """One model's answer in its form."""

    def write(self, event: Event) -> bytes:
        """The frames for one event."""

    def whole(self) -> bytes:
        """The answer, once its events have been written."""

    def idle(self) -> bytes:
        """What keeps a silent connection open."""

    def error(self, error: HaigaError, request_id: str) -> bytes:
        """The last frames after a failure."""


class Message(MessageStream):
    """A message, whole as well."""

    def __init__(self, id: str, model: str) -> None:
        super().__init__(id, model)
        self._names = {"id": id, "model": model}
        self._folder = Folder()

    def write(self, event: Event) -> bytes:
        self._folder.add(event)
        return super().write(event)

    def whole(self) -> bytes:
        return write_message(self._folder.reply(), **self._names)


class ModelResponse:
    """A response with its cost."""

    def __init__(self, writer: ResponseWriter, price: Price) -> None:
        self._writer = writer
        self._price = price

    def write(self, event: Event) -> bytes:
        told = self._writer.write(event)
        if isinstance(event, Finished):
            told[-1]["response"]["usage"] |= costs(event.usage, self._price)
            self._last = told[-1]["response"]
        return progress_comment(event) if isinstance(event, Progress) else b"".join(map(frame, told))

    def whole(self) -> bytes:
        return write.write_body(self._last)

    def idle(self) -> bytes:
        return comment("keep-alive")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        return b"".join(map(frame, self._writer.fail(error)))


class Telling:
    """The answer of whichever model it turns out to be; `begin` makes its form, by the model's name."""

    def __init__(self, begin: Callable[[str], Told], first: str) -> None:
        self._begin = begin
        self._first = first
        self._told: Told | None = None

    def write(self, item: Routed | Choice | Finished) -> bytes:
        match item:
            case Routed(model=model):
                self._told = self._begin(model)
            case Choice(event=event) if self._told:
                return self._told.write(event)
        return b""

    def idle(self) -> bytes:
        return self._told.idle() if self._told else comment("OPENROUTER PROCESSING")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        return (self._told or self._begin(self._first)).error(error, request_id)

    async def whole(self, items: Items) -> bytes:
        async with aclosing(items):
            async for item in items:
                self.write(item)
        if self._told is None:
            raise Failed("the answer does not say whose it is")
        return self._told.whole()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who may answer, what is asked of a model, and how its answer is told."""

    routing: Routing
    session: str | None
    request: Callable[[str], TextRequest]
    begin: Callable[[str], Told]
    stream: bool


class RoutedForms:
    """`clock` gives unix seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._clock = clock

    async def messages(self, request: Request) -> Response:
        """Create a message in Anthropic's form. The version header, which that API demands, may be left out."""
        caller = await authenticate(self._services.access, request)
        routing, session, body = read_routed(await request.body())
        version = request.headers.get("anthropic-version", OLDEST_VERSION)
        asked = read_message(body, version, betas(request))
        id = self._id()
        return await self._answer(
            request,
            caller,
            Asked(routing, session, lambda name: asked.request, partial(Message, id), asked.stream),
            id,
        )

    async def responses(self, request: Request) -> Response:
        """Create a response; nothing of it is kept."""
        caller = await authenticate(self._services.access, request)
        routing, session, body = read_routed(await request.body())
        asked = read_response(body, self._services.settings.new_id)
        _require_stateless(asked)
        id, created = self._id(), int(self._clock())

        def prompt(name: str) -> Prompt:
            return asked.prompt((), asked.items, self._services.inference.model(caller, name))

        def begin(model: str) -> ModelResponse:
            head = write.head(replace(asked, raw={**asked.raw, "store": False}), id=id, created=created, model=model)
            new_id = self._services.settings.new_id
            writer = ResponseWriter(head, asked.form, lambda error: error, new_id, self._clock)
            return ModelResponse(writer, self._price(model))

        made = Asked(routing, session, lambda name: prompt(name).request, begin, bool(asked.body.stream))
        return await self._answer(request, caller, made, id)

    async def _answer(self, request: Request, known: Caller, asked: Asked, id: str) -> Response:
        names, routing = asked.routing.names, asked.routing
        origin = replace(known.origin, answer=id, asked_for=names[0], streamed=asked.stream, session=asked.session)
        caller = replace(known, origin=origin)
        tried = candidates(self._services, caller, routing, lambda card: asked.request(card.name))
        items = first_that_answers(tried, partial(self._ask, caller, asked))
        telling, settings = Telling(asked.begin, names[0]), self._services.settings
        if asked.stream:
            rid, patience, ping = request_id(request.scope), settings.patience, settings.ping
            response = await stream_reply(request, items, telling, id=rid, patience=patience, ping=ping)
        else:
            response = Response(await while_connected(request, telling.whole(items)), media_type="application/json")
        response.headers["x-generation-id"] = id
        return response

    async def _ask(self, caller: Caller, asked: Asked, name: str, last: bool) -> tuple[Routed, Answers]:
        """One model's answer. Raises NotFound and Invalid when it cannot be asked for it."""
        inference = self._services.inference
        card = inference.model(caller, name)
        asked.routing.check(card, self._price(card.name))
        made, dropped = replace(asked.request(name), model=card.name), Dropped()
        count = partial(inference.count, caller)
        if asked.routing.compresses(card, last) and not await fits(made, card.context - 1, count):
            made, dropped = await middle_out(made, prompt_limit(card, made.max_tokens), count)
        return Routed(card.name, dropped), interleave([inference.generate(caller, made)])

    def _id(self) -> str:
        return self._services.settings.new_id("gen").replace("_", "-", 1)

    def _price(self, model: str) -> Price:
        return self._services.prices.get(model, Price())


def _require_stateless(asked: ResponseRequest) -> None:
    """Raise NotFound for what only a server that keeps answers could know."""
    fields: dict[str, Any] = {name: getattr(asked.body, name) for name in STATEFUL}
    name = next((name for name, value in fields.items() if value), None)
    if name is None and any(item["type"] == "item_reference" for item in asked.items):
        name = "input"
    if name is not None:
        raise NotFound("nothing is kept between requests here: send the whole conversation", field=name)
