"""`haiga serve` as it is composed, over fake engines instead of loaded models, on a real socket in a thread."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from haiga.cli.http import Server, build_server
from haiga.config import read_settings
from haiga.core.ports import Engine, ImageEngine
from haiga.engines.fake import VECTORS, FakeEmbedder, FakeEngine
from haiga.services.access import Access
from haiga.services.models import Models
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys

T = TypeVar("T")


@dataclass(slots=True)
class Running:
    """A server that runs: its address, its keys to change, and what talks to it."""

    url: str
    access: Access
    server: Server
    loop: asyncio.AbstractEventLoop
    clients: list[Any] = field(default_factory=list)  # closed with the server

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def key(self, name: str = "ci", workspace: str = "default", **more: Any) -> str:
        """A new key's secret."""
        return self.do(self.access.create_key(name, workspace, **more))[1]


@contextmanager
def running(
    directory: Path,
    engines: Sequence[Engine] = (FakeEngine(),),
    painters: Sequence[ImageEngine] = (),
    **flags: str,
) -> Iterator[Running]:
    """A server whose data is in `directory`, until the block ends. It is closed as `haiga serve` is."""
    started: Future[Running] = Future()

    async def serve() -> None:
        settings = read_settings({"data_dir": str(directory), **flags}, {})
        async with connect(directory / "haiga.db") as database:
            access = Access(DatabaseKeys(database))
            made = {engine.card.name: engine for engine in engines}
            paint = {painter.card.name: painter for painter in painters}
            models = Models(made, embedders={VECTORS.name: FakeEmbedder()}, painters=paint)
            server = build_server(settings, access, models, database, False)
            server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
            with socket.create_server(("127.0.0.1", 0)) as listener:
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                started.set_result(Running(url, access, server, asyncio.get_running_loop()))
                await server.serve(sockets=[listener])
            await models.close()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as problem:
            if started.done():
                raise
            started.set_exception(problem)

    thread = Thread(target=work)
    thread.start()
    run = started.result()  # however long it takes: a server that nobody waits for would never be ended
    try:
        yield run
    finally:
        for client in run.clients:
            client.close()
        run.server.should_exit = True
        thread.join()
