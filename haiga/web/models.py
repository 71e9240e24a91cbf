"""Handlers of /v1/models: one path, two families."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.web.credentials import authenticate
from haiga.web.families import family
from haiga.web.services import Services
from haiga.wire import openai_models
from haiga.wire.anthropic import models as anthropic_models


class Models:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        after_id: str | None = None,
        before_id: str | None = None,
    ) -> Response:
        """List the models, the server's own first. The paging is Anthropic's; OpenAI's list is always whole."""
        caller = await authenticate(self._services.access, request)
        cards = self._services.inference.models(caller)
        if family(request.scope) == "openai":
            return _json(openai_models.write_models(cards))
        return _json(anthropic_models.write_models(cards, limit=limit, after_id=after_id, before_id=before_id))

    async def get(self, request: Request, id: str) -> Response:
        """One model, by its name or by an alias that existing clients send."""
        caller = await authenticate(self._services.access, request)
        card = self._services.inference.model(caller, id)
        write = openai_models.write_model if family(request.scope) == "openai" else anthropic_models.write_model
        return _json(write(card))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
