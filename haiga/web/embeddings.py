"""Handlers of the OpenAI API's Embeddings, and OpenRouter's."""

import time
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.generation import Usage
from haiga.core.records import Price
from haiga.web.choosing import found
from haiga.web.credentials import authenticate
from haiga.web.services import Services
from haiga.web.streaming import while_connected
from haiga.wire.openai_embeddings import read_embedding, write_embeddings
from haiga.wire.openrouter.routing import plain_name


class Embeddings:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def create(self, request: Request) -> Response:
        """Make a vector of each text."""
        return await self._create(request, priced=False)

    async def priced(self, request: Request) -> Response:
        """Make a vector of each text, and say what it cost."""
        return await self._create(request, priced=True)

    async def _create(self, request: Request, priced: bool) -> Response:
        began = time.monotonic()
        caller = await authenticate(self._services.access, request)
        asked, encoding = read_embedding(await request.body())
        inference = self._services.inference
        named = plain_name(asked.model, partial(found, self._services, caller)) if priced else asked.model
        name = inference.model(caller, named).name
        made = await while_connected(request, inference.embed(caller, replace(asked, model=name)))
        price = self._services.prices.get(name, Price())
        cost = float(price.of(Usage(input=made.tokens))) if priced else None
        response = Response(write_embeddings(made, encoding, name, cost), media_type="application/json")
        response.headers["openai-processing-ms"] = str(round((time.monotonic() - began) * 1000))
        return response
