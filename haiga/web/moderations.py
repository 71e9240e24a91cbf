"""Handlers of the OpenAI API's Moderations, and of what this server adds to them."""

import time
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from haiga.web.credentials import authenticate
from haiga.web.services import Services
from haiga.web.streaming import while_connected
from haiga.wire.openai_moderations.read import read_moderation
from haiga.wire.openai_moderations.write import write_moderation


class Moderations:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def create(self, request: Request) -> Response:
        """Judge texts and images by what they may do harm with."""
        return await self._create(request, explained=False)

    async def explain(self, request: Request) -> Response:
        """Judge, and say why: a level of risk and the words that carry it, with a harmless rewrite where one is
        wanted."""
        return await self._create(request, explained=True)

    async def _create(self, request: Request, explained: bool) -> Response:
        began = time.monotonic()
        caller = await authenticate(self._services.access, request)
        asked = read_moderation(await request.body(), explained)
        inference = self._services.inference
        name = inference.model(caller, asked.model).name
        made = await while_connected(request, inference.judge(caller, replace(asked, model=name)))
        id = self._services.settings.new_id("modr").replace("_", "-", 1)
        response = Response(write_moderation(made, asked.items, id=id, model=name), media_type="application/json")
        response.headers["openai-processing-ms"] = str(round((time.monotonic() - began) * 1000))
        return response
