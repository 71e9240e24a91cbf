"""Composition: the web over the services, and a uvicorn that drains.

Imported while the first model loads: see server.py.
"""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvicorn

from haiga.config import Settings
from haiga.core.ports import ResponseStore
from haiga.services.access import Access
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.web.app import Services, WebSettings, create_app


def build_server(settings: Settings, access: Access, models: Models, responses: ResponseStore, door: bool) -> "Server":
    """The server, not started. `door` says that it is open: no key is configured."""
    web = WebSettings(open=door, allowed_hosts=settings.allow_host, cors_origins=settings.cors)
    inference = Inference(models)
    kept = Responses(inference, responses)
    app = create_app(Services(access, inference, web, responses=kept))
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.drain),
    )
    return Server(config, kept)


class Server(uvicorn.Server):
    """The first signal lets running requests end, for as long as the configuration allows; the second ends them.

    uvicorn's own handling would raise the signal again before the engines are closed. Background responses of
    `kept` are stopped last.
    """

    def __init__(self, config: uvicorn.Config, kept: Responses) -> None:
        super().__init__(config)
        self._kept = kept

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._kept.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        if running := len(self.server_state.tasks):
            then = "ended at once" if self.force_exit else "are being finished; a second signal ends them"
            typer.echo(f"haiga: requests running: {running}; they {then}", err=True)

    def stop_if_failed(self, task: "asyncio.Task[None]") -> None:
        """A callback for the task without which there is nothing to serve."""
        if not task.cancelled() and task.exception():
            self.should_exit = True
