"""Composition: one server from settings to socket, how it starts and what it says."""

import asyncio
import errno
import gc
import ipaddress
import json
import shlex
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.engines import Offer, offer
from haiga.cli.reloading import Read, Terminal
from haiga.cli.tool_log import show_calls
from haiga.config import Settings
from haiga.core.errors import Failed, Invalid
from haiga.core.ports import ModelCard
from haiga.engines.diffusers.engine import DiffusersEngine
from haiga.engines.native.adapted import AdaptedEngine
from haiga.engines.native.embedder import NativeEmbedder
from haiga.engines.native.engine import NativeEngine
from haiga.services.access import Access
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from haiga.stores.models import DatabaseModels
from haiga.stores.secret import share_secret
from haiga.stores.upstreams import DatabaseUpstreams

if TYPE_CHECKING:
    from haiga.cli.http import Server


async def run_server(settings: Settings, read: Read) -> None:
    """Serve until a signal; running requests may then go on for `drain` seconds. SIGHUP has the settings read again.
    Raises core errors at the start."""
    show_calls()
    terminal = Terminal()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of engines for good: they end with the server
    async with connect(settings.records) as database:
        # a server that only this machine reaches is open while it has no key
        access = Access(DatabaseKeys(database), open_when_empty=is_loopback(settings.host))
        await access.require_keys(settings.host)
        await share_secret(database, settings.signing_key)
        library = await DatabaseModels(database).all()
        with listening(settings.host, settings.port) as listener:
            upstreams = await DatabaseUpstreams(database).all()
            async with offer(settings, library, upstreams, _warn) as offered:
                door = await access.is_open()
                url = address(settings.host, listener.getsockname()[1])
                build = partial(_build, settings, access, offered, database, door, read, terminal)
                await _serve(build, listener, _load_first(offered, announcement(url, offered, door)))


async def _serve(build: "Callable[[], Server]", listener: socket.socket, load: Coroutine[None, None, None]) -> None:
    """Listen until a signal, the first model loaded. Raises what its loading raises."""
    loading = asyncio.create_task(load)
    try:
        # in a thread: importing the web takes about as long as the engine's process needs to load a model
        server = await asyncio.to_thread(build)
        loading.add_done_callback(server.stop_if_failed)
        await server.serve(sockets=[listener])
    finally:
        loading.cancel()
        (outcome,) = await asyncio.gather(loading, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


def _build(
    settings: Settings,
    access: Access,
    offered: Offer,
    database: AsyncEngine,
    door: bool,
    read: Read,
    terminal: Terminal,
) -> "Server":
    from haiga.cli.http import build_server

    return build_server(settings, access, offered.models, database, door, offered.adapters, read, terminal)


async def _load_first(offered: Offer, announced: str) -> None:
    async with offered.models.loaded(next(iter(offered.engines), None)):
        _settle()
        typer.echo(announced)


def _settle() -> None:
    """What is loaded by now stays, and the collector need not walk it again. A large body makes a million objects at
    once, none of them in cycles: at the default of a collection every 700 its parsing takes several times as long."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _warn(line: str) -> None:
    typer.echo(f"haiga: {line}", err=True)


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
    width = max(map(len, offered.engines), default=0)
    lines = [f"haiga {version('haiga')} at {url}"]
    for name, engine in offered.engines.items():
        lines.append(f"  {name:{width}}  {_described(engine)}")
    lines += [f"  {pattern} -> {name}" for pattern, name in offered.aliases]
    if offered.away.names:
        lines.append(f"  and the models of {', '.join(offered.away.names)}")
    if door:
        lines.append("no API key is configured: any credential is accepted, from this machine only")
    cards = offered.models.cards()
    tried = ["try:", f"  {curl(url, cards[0], door)}"] if cards else []
    return "\n".join((*lines, *tried))


def _described(engine: NativeEngine | NativeEmbedder | AdaptedEngine | DiffusersEngine) -> str:
    if isinstance(engine, DiffusersEngine):
        return "makes pictures"
    context = f"{engine.card.context:,} tokens"
    if isinstance(engine, AdaptedEngine):
        return f"adapter of {engine.card.parent}"
    if isinstance(engine, NativeEngine):
        return f"context {context}, KV pool {engine.pool:,} tokens"
    return f"embeddings of {engine.card.dimensions:,} numbers, texts of up to {context}"


def curl(url: str, card: ModelCard, door: bool) -> str:
    """A request that works when pasted (with a key in HAIGA_API_KEY when keys are configured)."""
    messages = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
    path, asked = ("messages", messages) if card.capabilities.text else ("embeddings", {"input": "Hello!"})
    if card.capabilities.painting:
        path, asked = "images/generations", {"prompt": "a red boat"}
    header = " -H 'anthropic-version: 2023-06-01'" if card.capabilities.text else ""
    key = "" if door else ' -H "x-api-key: $HAIGA_API_KEY"'
    body = shlex.quote(json.dumps({"model": card.name, **asked}))
    return f"curl {shlex.quote(f'{url}/v1/{path}')} -H 'content-type: application/json'{header}{key} -d {body}"
