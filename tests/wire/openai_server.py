"""The web app over fake engines, on a real socket, for official SDKs."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import uvicorn

from haiga.core.access import Caller
from haiga.core.errors import Denied
from haiga.core.ports import Capabilities, Embedder, Engine
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, WebSettings, create_app

EVERYTHING = Capabilities(images=True, documents=True, tools=True, thinking=True, structured_output=True)
ABLE = replace(CARD, name="able", capabilities=EVERYTHING)


class OneKey:
    """Access for one key, or for anybody when there is none."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key

    async def authenticate(self, credential: str | None) -> Caller:
        if self.key is not None and credential != self.key:
            raise Denied("invalid x-api-key", unauthenticated=True)
        return Caller()


def services(
    engines: Sequence[Engine] = (FakeEngine(),),
    key: str | None = None,
    settings: WebSettings | None = None,
    embedders: Sequence[Embedder] = (),
) -> Services:
    made = {embedder.card.name: embedder for embedder in embedders}
    inference = Inference(Models({engine.card.name: engine for engine in engines}, embedders=made))
    return Services(OneKey(key), inference, settings or WebSettings())


@contextmanager
def serving(
    services: Services,
    last: Callable[[], Awaitable[None]] | None = None,
    first: Callable[[], None] | None = None,
) -> Iterator[str]:
    """The server's address while the block runs; `first` is called in its loop, `last` is awaited at its end."""

    async def run() -> None:
        if first is not None:
            first()
        await server.serve()
        if last is not None:
            await last()

    config = uvicorn.Config(create_app(services), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)

    def work() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(run())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
