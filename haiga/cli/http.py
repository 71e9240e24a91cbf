"""Composition: the web over the services, and a uvicorn that drains.

Imported while the first model loads: see server.py.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol, cast

import typer
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.answering import Answering, answering
from haiga.cli.keeping import Keeping, keeping
from haiga.cli.live import FILES, live
from haiga.cli.painting import named, styles_of
from haiga.cli.reloading import Prepare, Read, Reloading, Terminal, at_once
from haiga.config import Settings
from haiga.core.jobs import Dedupe
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.native import tier
from haiga.services.access import Access
from haiga.services.adapters import Adapters
from haiga.services.erasure import Erasure
from haiga.services.images.taking import Taker
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.stores.chats import DatabaseChats
from haiga.stores.erasure import erase
from haiga.web.app import Services, WebSettings, create_app
from haiga.web.connection import Connection

LARGEST_MESSAGE = 64 << 10  # bytes that a client may say at once over a WebSocket
LAST_WORDS = 1.0  # seconds for the errors of requests that were cut to reach their clients


class Background(Protocol):
    """Work that goes on beside requests, from the server's start to its end."""

    def start(self) -> None:
        """Begin, in the running event loop."""

    async def close(self) -> None:
        """Stop at once, or after what cannot be taken up again; what was not done is done after the next start."""


def build_server(
    settings: Settings,
    access: Access,
    models: Models,
    database: AsyncEngine,
    door: bool,
    adapters: Adapters | None = None,
    read: Read | None = None,
    terminal: Terminal | None = None,
) -> "Server":
    """The server, not started. `door` says that it is open: no key is configured. `read` gives the settings anew,
    `terminal` is the one it was started from."""
    parts = answering(settings, access, models, database)
    kept = keeping(settings, parts, models, database)
    app = create_app(_services(settings, access, parts, kept, database, door, adapters))
    background, last = _beside(settings, parts, kept), _behind(parts, kept)
    server = Server(_protocol(app), models, kept.responses, background, last, settings.drain, terminal)
    if read is not None:
        changes = {**live(parts, models), **_live_in_servers(kept, server)}
        server.reload = Reloading(settings, read, changes, FILES, kept.audit).reload
    return server


def _services(
    settings: Settings,
    access: Access,
    parts: Answering,
    kept: Keeping,
    database: AsyncEngine,
    door: bool,
    adapters: Adapters | None,
) -> Services:
    """What the web is over."""
    metered = parts.metered
    return Services(
        access,
        parts.inference,
        _web_settings(settings, door),
        metered.limiter.standing,
        metered.prices,
        metered.ledger,
        access,
        metered.metrics,
        responses=kept.responses,
        chats=DatabaseChats(database),
        batches=kept.batches,
        webhooks=kept.webhooks,
        files=parts.files,
        audit=kept.audit,
        erasure=_erasure(settings, access, parts, database),
        adapters=adapters,
        refused=kept.refusals.add,
        tracer=parts.traces.tracer if parts.traces else None,
        policies=parts.moderated.policies,
        jobs=kept.jobs,
        taker=Taker(parts.fetch, parts.decoder),
        palette=named(Shelf(settings.shelf, settings.image_pickles), styles_of(settings)),
    )


def _web_settings(settings: Settings, door: bool) -> WebSettings:
    return WebSettings(
        open=door,
        allowed_hosts=settings.allow_host,
        cors_origins=settings.cors,
        dedupe=cast(Dedupe, settings.dedupe),
        keep=int(settings.keep_responses),
    )


def _erasure(settings: Settings, access: Access, parts: Answering, database: AsyncEngine) -> Erasure:
    """A workspace's rows, the bytes of its files, its KV blocks in files, and what usage has still in memory."""
    cold = partial(tier.erase, settings.cold)
    return Erasure(access, partial(erase, database), parts.files.sweep, cold, parts.metered.ledger.flush)


def _protocol(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )


def _beside(settings: Settings, parts: Answering, kept: Keeping) -> list[Background]:
    """What stops at once."""
    worker = [parts.worker] if settings.worker else []
    return [kept.clerk, parts.files, kept.jobs, kept.deliverer, kept.audit, *worker]


def _behind(parts: Answering, kept: Keeping) -> list[Background]:
    """What ends after all requests: they need it, or it writes down what they were."""
    metered, optional = parts.metered, (parts.metered.meters, parts.traces)
    always = (metered.ledger, kept.refusals, parts.decoder, parts.moderated.warm)
    return [*always, *(each for each in optional if each is not None)]


def _live_in_servers(kept: Keeping, server: "Server") -> Mapping[str, Prepare]:
    """The settings that can change while a server runs, besides those of workers too."""
    return {
        "keep_audit": at_once(lambda settings: setattr(kept.audit, "keep", settings.keep_audit)),
        "image_jobs": at_once(lambda settings: setattr(kept.jobs, "most", settings.image_jobs)),
        "keep_images": at_once(lambda settings: setattr(kept.jobs, "keep", settings.keep_images)),
        "drain": at_once(lambda settings: setattr(server, "drain", settings.drain)),
    }


class Server(uvicorn.Server):
    """The first signal lets requests under way end, for `drain` seconds; then, or at the second signal, the models
    are closed under them, so that each ends with the API's own error. What runs in the `background` stops at once;
    background responses of `kept` end after all requests, and then what is `last`. SIGHUP has the settings read anew by
    `reload`; when the `terminal` is gone it is a first signal.

    uvicorn's own handling would raise the signal again before the engines are closed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        models: Models,
        kept: Responses,
        background: Sequence[Background],
        last: Sequence[Background],
        drain: float,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(config)
        self._models = models
        self._kept = kept
        self._background = background
        self._last = last
        self.drain = drain
        self.reload: Callable[[], Coroutine[None, None, None]] | None = None
        self._terminal = terminal
        self._reloading: set[asyncio.Task[None]] = set()
        self._cutting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._kept.start()
        for work in (*self._background, *self._last):
            work.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        limit = asyncio.get_running_loop().call_later(self.drain, self._cut)
        await asyncio.gather(*(work.close() for work in self._background))
        await super().shutdown(sockets)
        limit.cancel()
        await self._kept.close()
        await asyncio.gather(*(work.close() for work in self._last))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        try:
            yield
        finally:
            for number in (*signals, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _on_hangup(self) -> None:
        if self._terminal is not None and self._terminal.gone:
            self._on_signal()
        elif self.reload is not None and not self.should_exit:
            task = asyncio.create_task(self.reload(), name="reload")
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)

    def _on_signal(self) -> None:
        if self.should_exit:
            self._cut()
        elif running := len(self.server_state.tasks):
            typer.echo(f"haiga: finishing what runs (requests: {running}); a second signal ends it", err=True)
        self.should_exit = True

    def _cut(self) -> None:
        self._cutting = self._cutting or asyncio.create_task(self._end_requests())

    async def _end_requests(self) -> None:
        await self._models.close()
        await asyncio.sleep(LAST_WORDS)
        self.force_exit = True

    def stop_if_failed(self, task: "asyncio.Task[None]") -> None:
        """A callback for the task without which there is nothing to serve."""
        if not task.cancelled() and task.exception():
            self.should_exit = True
