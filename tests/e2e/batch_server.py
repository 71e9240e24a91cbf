"""A part of a site that runs batches: python -m tests.e2e.batch_server ROLE DATABASE DATA LOG [MODEL].

ROLE is `server` (it takes batches, and runs lines), `front` (it takes batches only) or `worker`. The model is run by
an engine process or, without MODEL, by the fake engine. A port is printed once it listens, `0` by a worker. Every line
that it begins to compute is appended to LOG. A worker that is gone loses its lines after a second.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import uvicorn

from haiga.cli.server import listening
from haiga.core.generation import Event, TextRequest
from haiga.core.messages import text_of
from haiga.core.ports import Engine
from haiga.engines.fake import CARD, FakeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.services.access import Access
from haiga.services.batches import Batches, Worker
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.stores.batches import DatabaseBatches
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from haiga.web.app import Services, create_app
from haiga.web.services import random_id
from haiga.wire.anthropic.batches import ENDPOINT, MessageLines

WIDTH, PAUSE = 8, 0.15  # lines at once, and seconds that each takes at least: what is killed is to be at work


class Logged(Inference):
    """Writes down what is asked before it is."""

    log: Path

    async def generate(self, caller: object, request: TextRequest) -> AsyncGenerator[Event, None]:  # type: ignore[override]
        with self.log.open("a") as log:
            log.write(text_of(request.messages[-1].content) + "\n")
        await asyncio.sleep(PAUSE)
        async for event in super().generate(caller, request):  # type: ignore[arg-type]
            yield event


def engine_for(data: Path, model: str | None) -> Engine:
    if model is None:
        return FakeEngine(replace(CARD, name="tiny"))
    return open_engine(Found.at("tiny", Path(model), created=0), NativeOptions(kv_memory=16 << 20, cache_dir=data))


async def main(role: str, database: str, data: Path, log: Path, model: str | None) -> None:
    engine = engine_for(data, model)
    async with connect(database if "://" in database else Path(database)) as opened:
        inference = Logged(Models({"tiny": engine}))
        inference.log = log
        store = DatabaseBatches(opened)
        worker = Worker(inference, store, {ENDPOINT: MessageLines()}, random_id, width=WIDTH, lease=1)
        access = Access(DatabaseKeys(opened), open_when_empty=True)
        app = create_app(Services(access, inference, batches=Batches(store, worker.wake)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        if role != "front":
            worker.start()
        if role == "worker":
            print(0, flush=True)
            await asyncio.Event().wait()
        with listening("127.0.0.1", 0) as listener:
            print(listener.getsockname()[1], flush=True)
            await server.serve(sockets=[listener])
        await worker.close()
        await engine.close()


if __name__ == "__main__":
    role, database, data, log, *model = sys.argv[1:]
    asyncio.run(main(role, database, Path(data), Path(log), *model or [None]))
