"""A server of batches over a tiny model: python -m tests.e2e.batch_server DATA MODEL LOG.

Prints its port once it listens. Every line that it begins to compute is appended to LOG. A worker that is gone loses
its lines after half a second.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import uvicorn

from haiga.cli.server import listening
from haiga.core.generation import Event, TextRequest
from haiga.core.messages import text_of
from haiga.engines.native.engine import NativeEngine
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


class Logged(Inference):
    """Writes down what is asked before it is."""

    log: Path

    async def generate(self, caller: object, request: TextRequest) -> AsyncGenerator[Event, None]:  # type: ignore[override]
        with self.log.open("a") as log:
            log.write(text_of(request.messages[-1].content) + "\n")
        async for event in super().generate(caller, request):  # type: ignore[arg-type]
            yield event


async def main(data: Path, model: Path, log: Path) -> None:
    engine: NativeEngine = open_engine(
        Found.at("tiny", model, created=0), NativeOptions(kv_memory=16 << 20, cache_dir=data)
    )
    async with connect(data / "haiga.db") as database:
        inference = Logged(Models({"tiny": engine}))
        inference.log = log
        store = DatabaseBatches(database)
        worker = Worker(inference, store, {ENDPOINT: MessageLines()}, random_id, width=8, lease=0.5)
        access = Access(DatabaseKeys(database), open_when_empty=True)
        app = create_app(Services(access, inference, batches=Batches(store, worker.wake)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        with listening("127.0.0.1", 0) as listener:
            worker.start()
            print(listener.getsockname()[1], flush=True)
            await server.serve(sockets=[listener])
        await worker.close()
        await engine.close()


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:4])))
