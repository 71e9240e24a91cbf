"""Handlers of the OpenAI API's Chat Completions and older Completions."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.chats import KeptChat
from haiga.core.errors import HaigaError
from haiga.core.generation import Choice, Event, Finished, Reply, TextRequest
from haiga.services.choices import Done, asked_by, interleave, replies, watched
from haiga.services.moderation.beside import BesideJudge
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.services import Services
from haiga.web.streaming import Writer, stream_reply, while_connected
from haiga.wire.openai_chat.read import ChatRequest
from haiga.wire.openai_chat.sketch import read_passing_chat
from haiga.wire.openai_chat.stream import ChatStream
from haiga.wire.openai_chat.write import chat_body, write_chat
from haiga.wire.openai_completions import CompletionStream, read_completion, usage_of, write_completion
from haiga.wire.openai_moderations.beside import Beside


@dataclass(frozen=True, slots=True)
class Answer:
    """How one call is answered: `writer` streams it, None for whole, which `whole` writes."""

    writer: Writer[Choice | Finished] | None
    whole: Callable[[Sequence[Reply]], bytes]
    placed: Callable[[HaigaError], HaigaError]


class OpenAI:
    """`clock` gives unix seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._clock = clock

    async def chat(self, request: Request) -> Response:
        """Create a chat completion, whole or as server-sent events."""
        began = self._clock()
        caller = await authenticate(self._services.access, request)
        asked = read_passing_chat(await request.body(), self._services.inference.passes_chat)
        card = self._services.inference.model(caller, asked.request.model)
        beside: Beside = {}
        judge = self._judge(caller, asked, beside)
        events = interleave(self._generate(caller, asked.choices(card)))
        id, model, form = self._new_id("chatcmpl"), card.name, asked.form
        if judge is not None:
            events = watched(events, judge)
        if asked.kept and self._services.chats:
            events = watched(events, self._keeper(caller, asked, id, model, int(began), beside))
        answer = Answer(
            ChatStream(form, id=id, model=model, created=int(began), beside=beside) if form.stream else None,
            lambda whole: write_chat(whole, form, id=id, model=model, created=int(began), beside=beside),
            asked.placed,
        )
        return await self._respond(request, events, answer, began)

    async def complete(self, request: Request) -> Response:
        """Continue one or more prompts as they stand, whole or as server-sent events."""
        began = self._clock()
        caller = await authenticate(self._services.access, request)
        asked = read_completion(await request.body())
        card = self._services.inference.model(caller, asked.requests[0].model)
        events = interleave(self._generate(caller, asked.choices(card), asked.tries), asked.tries)
        id, model, form = self._new_id("cmpl"), card.name, asked.form

        def whole(made: Sequence[Reply]) -> bytes:
            usage = usage_of(made, asked.tries)
            return write_completion(asked.best(made), usage, form, id=id, model=model, created=int(began))

        writer = CompletionStream(form, id=id, model=model, created=int(began)) if form.stream else None
        return await self._respond(request, events, Answer(writer, whole, asked.placed), began)

    def _keeper(self, caller: Caller, asked: ChatRequest, id: str, model: str, created: int, beside: Beside) -> Done:
        """What keeps an answer once it is whole."""

        async def keep(whole: Sequence[Reply]) -> None:
            body = chat_body(whole, asked.form, id=id, model=model, created=created) | beside
            lives = (created, created + self._services.settings.keep)
            kept = KeptChat(id, caller.workspace, model, *lives, asked.metadata or {}, body, asked.written)
            if self._services.chats:
                await self._services.chats.put(kept)

        return keep

    def _judge(self, caller: Caller, asked: ChatRequest, beside: Beside) -> Done | None:
        """Who judges what is asked and answered, where the request wants to be told. Raises NotFound."""
        if asked.judged is None:
            return None
        judge = BesideJudge(self._services.inference, caller, asked.request, asked.judged)

        async def tell(whole: Sequence[Reply]) -> None:
            if not any(reply.quoted for reply in whole):  # one that somebody else has written stays as it is
                await judge.tell(beside, whole)

        return tell

    def _generate(
        self, caller: Caller, requests: Sequence[TextRequest], each: int | None = None
    ) -> list[AsyncGenerator[Event, None]]:
        callers = asked_by(caller, requests, each)
        return [self._services.inference.generate(by, request) for by, request in zip(callers, requests, strict=True)]

    def _new_id(self, prefix: str) -> str:
        return self._services.settings.new_id(prefix).replace("_", "-", 1)

    async def _respond(
        self, request: Request, events: AsyncGenerator[Choice | Finished, None], answer: Answer, began: float
    ) -> Response:
        settings, rid = self._services.settings, request_id(request.scope)
        try:
            if answer.writer is None:
                body = answer.whole(await while_connected(request, replies(events)))
                response = Response(body, media_type="application/json")
            else:
                patience, ping = settings.patience, settings.ping
                response = await stream_reply(request, events, answer.writer, id=rid, patience=patience, ping=ping)
        except HaigaError as error:
            raise answer.placed(error) from None
        response.headers["openai-processing-ms"] = str(round((self._clock() - began) * 1000))
        return response
