"""Handler of the OpenAI API's Embeddings."""

import time

from starlette.requests import Request
from starlette.responses import Response

from haiga.web.credentials import authenticate
from haiga.web.services import Services
from haiga.web.streaming import while_connected
from haiga.wire.openai_embeddings import read_embedding, write_embeddings


class Embeddings:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def create(self, request: Request) -> Response:
        """Make a vector of each text."""
        began = time.monotonic()
        caller = await authenticate(self._services.access, request)
        asked, encoding = read_embedding(await request.body())
        inference = self._services.inference
        name = inference.model(caller, asked.model).name
        made = await while_connected(request, inference.embed(caller, asked))
        response = Response(write_embeddings(made, encoding, name), media_type="application/json")
        response.headers["openai-processing-ms"] = str(round((time.monotonic() - began) * 1000))
        return response
