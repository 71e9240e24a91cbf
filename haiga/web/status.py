"""Handlers that tell whether the server is there."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from haiga.web import docs
from haiga.web.services import Services


class Status:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def hello(self, request: Request) -> Response:
        """What this server is, for whoever opens its address."""
        return JSONResponse({"name": "haiga", "docs": "/docs", "openapi": "/openapi.json"})

    async def health(self, request: Request) -> Response:
        """The web process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """A model can be asked; 503 until then."""
        ready = self._services.inference.ready
        return JSONResponse({"status": "ok" if ready else "loading"}, 200 if ready else 503)

    async def docs(self, request: Request) -> Response:
        """The API, for people."""
        return HTMLResponse(docs.page(request.app.openapi()))
