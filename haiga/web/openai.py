"""Handlers of the OpenAI Chat Completions API."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.errors import HaigaError
from haiga.services.choices import interleave, replies
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected
from haiga.wire.openai_chat.read import read_chat
from haiga.wire.openai_chat.stream import ChatStream
from haiga.wire.openai_chat.write import write_chat


class Chat:
    """`clock` gives unix seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._clock = clock

    async def create(self, request: Request) -> Response:
        """Create a chat completion, whole or as server-sent events."""
        services, settings, began = self._services, self._services.settings, self._clock()
        caller = await authenticate(services.access, request)
        asked = read_chat(await request.body())
        card = services.inference.model(caller, asked.request.model)
        answers = interleave([services.inference.generate(caller, choice) for choice in asked.choices(card)])
        id = settings.new_id("chatcmpl").replace("_", "-", 1)
        try:
            if asked.form.stream:
                writer = ChatStream(asked.form, id=id, model=card.name, created=int(began))
                rid, patience, ping = request_id(request.scope), settings.patience, settings.ping
                response = await stream_reply(request, answers, writer, id=rid, patience=patience, ping=ping)
            else:
                whole = await while_connected(request, replies(answers))
                body = write_chat(whole, asked.form, id=id, model=card.name, created=int(began))
                response = Response(body, media_type="application/json")
        except HaigaError as error:
            raise asked.placed(error) from None
        response.headers["openai-processing-ms"] = str(round((self._clock() - began) * 1000))
        return response
