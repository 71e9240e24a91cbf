"""Composition: one server from settings to socket, how it starts and how it stops."""

import asyncio
import errno
import ipaddress
import json
import shlex
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

import typer
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.engines import Offer, offer
from haiga.config import Settings
from haiga.core.errors import Failed, Invalid
from haiga.services.access import Access
from haiga.services.inference import Inference
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from haiga.stores.models import DatabaseModels
from haiga.web.app import Services, WebSettings, create_app


async def run_server(settings: Settings) -> None:
    """Serve until a signal; running requests may then go on for `drain` seconds. Raises core errors at the start."""
    async with connect(settings.data_dir / "haiga.db") as database:
        access = await _access(settings, database)
        library = await DatabaseModels(database).all()
        with listening(settings.host, settings.port) as listener:
            async with offer(settings, library, lambda line: typer.echo(f"haiga: {line}", err=True)) as offered:
                door = await access.is_open()
                server = Server(_app(settings, access, offered, door), settings.drain)
                url = address(settings.host, listener.getsockname()[1])
                await _serve(server, listener, offered, lambda: typer.echo(announcement(url, offered, door)))


def _app(settings: Settings, access: Access, offered: Offer, door: bool) -> uvicorn.Config:
    web = WebSettings(open=door, allowed_hosts=settings.allow_host, cors_origins=settings.cors)
    app = create_app(Services(access, Inference(offered.models), web))
    return uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, server_header=False)


async def _access(settings: Settings, database: AsyncEngine) -> Access:
    """Keys; a server that only this machine reaches is open while it has none. Raises Invalid when nobody could
    be let in."""
    access = Access(DatabaseKeys(database), open_when_empty=is_loopback(settings.host))
    await access.require_keys(settings.host)
    return access


async def _serve(server: "Server", listener: socket.socket, offered: Offer, announce: Callable[[], None]) -> None:
    """Listen, load the first model, say so. Raises what its loading raises."""
    loading = asyncio.create_task(_load_first(offered, announce))
    loading.add_done_callback(server.stop_if_failed)
    try:
        await server.serve(sockets=[listener])
    finally:
        loading.cancel()
        (outcome,) = await asyncio.gather(loading, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


async def _load_first(offered: Offer, announce: Callable[[], None]) -> None:
    async with offered.models.use(next(iter(offered.engines))):
        announce()


class Server(uvicorn.Server):
    """The first signal lets running requests end, for `drain` seconds; the second ends them at once.

    uvicorn's own handling would raise the signal again before the engines are closed.
    """

    def __init__(self, config: uvicorn.Config, drain: float) -> None:
        super().__init__(config)
        config.timeout_graceful_shutdown = round(drain)

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
            typer.echo(
                f"haiga: {running} running: ended at once"
                if self.force_exit
                else f"haiga: finishing {running} running; a second signal ends them",
                err=True,
            )

    def stop_if_failed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            self.should_exit = True


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises Failed for a port in use or forbidden, Invalid for a host that is no address here."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as problem:
        raise Invalid(f"{host}: {problem.strerror}", field="--host") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(where)
            listener.listen(1024)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise Failed(f"port {port} of {host} is in use by another program; choose one with --port") from None
            raise Failed(f"cannot listen on port {port} of {host}: {problem.strerror}") from None
        yield listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announcement(url: str, offered: Offer, door: bool) -> str:
    """What is printed once the first model can answer."""
    width = max(map(len, offered.engines))
    lines = [f"haiga {version('haiga')} at {url}"]
    for name, engine in offered.engines.items():
        lines.append(f"  {name:{width}}  context {engine.card.context:,} tokens, KV pool {engine.pool:,} tokens")
    lines += [f"  {pattern} -> {name}" for pattern, name in offered.aliases]
    if door:
        lines.append("no API key is configured: any credential is accepted, from this machine only")
    return "\n".join((*lines, "try:", f"  {curl(url, next(iter(offered.engines)), door)}"))


def curl(url: str, model: str, door: bool) -> str:
    """A request that works when pasted (with a key in HAIGA_API_KEY when keys are configured)."""
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
    key = "" if door else ' -H "x-api-key: $HAIGA_API_KEY"'
    return (
        f"curl {shlex.quote(url + '/v1/messages')} -H 'content-type: application/json'"
        f" -H 'anthropic-version: 2023-06-01'{key} -d {shlex.quote(json.dumps(body))}"
    )
