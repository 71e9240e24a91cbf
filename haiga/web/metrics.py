"""Handler for a monitoring system."""

from starlette.requests import Request
from starlette.responses import Response

from haiga.services.metrics import Metrics
from haiga.web.credentials import authenticate_admin
from haiga.web.services import Services

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Measured:
    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services = services
        self._metrics = metrics

    async def read(self, request: Request) -> Response:
        """Counts and times by model, in Prometheus' text format. Where there are keys, it takes one that administers
        the server."""
        await authenticate_admin(self._services.access, request)
        return Response(self._metrics.text(), media_type=TEXT)
