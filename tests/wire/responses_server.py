"""The web app with kept responses, over fake engines and a database file, for official SDKs."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from threading import Event as Gate

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.core.access import Caller
from haiga.core.errors import Denied
from haiga.core.generation import BlockStopped, Event, TextRequest
from haiga.core.ports import Engine
from haiga.engines.fake import FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.stores.connect import connect
from haiga.stores.responses import DatabaseResponses
from haiga.web.app import Services, WebSettings
from tests.wire.openai_server import serving


class Workspaces:
    """Access for whoever names a workspace as the key."""

    async def authenticate(self, credential: str | None) -> Caller:
        if credential is None:
            raise Denied("invalid x-api-key", unauthenticated=True)
        return Caller(workspace=credential)


class GatedEngine(FakeEngine):
    """Stops before the end of its first block until the gate is opened."""

    gate: Gate

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        async with aclosing(super().generate(request)) as events:
            async for event in events:
                while isinstance(event, BlockStopped) and not self.gate.is_set():
                    await asyncio.sleep(0.002)
                yield event


def keeping(
    file: Path,
    engines: Sequence[Engine] = (FakeEngine(),),
    clock: Callable[[], float] = time.time,
    aliases: Sequence[tuple[str, str]] = (),
) -> Services:
    """Services that keep responses in `file`, which is made here."""

    async def made() -> None:
        async with connect(file):
            pass

    asyncio.run(made())
    database = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool)
    inference = Inference(Models({engine.card.name: engine for engine in engines}, aliases))
    kept = Responses(inference, DatabaseResponses(database), clock=clock)
    return Services(Workspaces(), inference, WebSettings(open=False), responses=kept)


@contextmanager
def serving_kept(
    file: Path, engines: Sequence[Engine] = (FakeEngine(),), clock: Callable[[], float] = time.time
) -> Iterator[str]:
    """The address of a server that keeps responses, while the block runs."""
    with serving(keeping(file, engines, clock)) as url:
        yield f"{url}/v1"
