"""The web app with responses, batches and webhooks, over a fake engine and a database file, for official SDKs."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn

from haiga.services.batches import Batches, Clerk, Worker
from haiga.services.fetch import Fetch, Hosts
from haiga.services.files import Files
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.services.webhooks import Deliverer, Sender, Webhooks
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.files import DatabaseFiles
from haiga.stores.responses import DatabaseResponses
from haiga.stores.webhooks import DatabaseWebhooks
from haiga.web.app import Services, WebSettings, create_app
from haiga.wire.anthropic.batches import ENDPOINT, MessageLines
from haiga.wire.openai_batches.lines import openai_lines
from haiga.wire.openai_batches.paper import BatchPaper
from tests.wire.responses_server import GatedEngine, Workspaces

KEY = b"the server's own key"


@contextmanager
def serving_webhooks(file: Path, engine: GatedEngine, clock: Callable[[], float] = time.time) -> Iterator[str]:
    """The address of a server that tells others, also on loopback, while the block runs."""
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        inference, web = Inference(Models({engine.card.name: engine})), WebSettings(open=False)
        async with connect(file) as database:
            lines, outbox = DatabaseBatches(database), DatabaseWebhooks(database)
            files = Files(DatabaseFiles(database), DiskBlobs(file.parent / "blobs"), clock=clock)
            forms = {ENDPOINT: MessageLines(), **openai_lines(web.new_id)}
            worker = Worker(inference, lines, forms, web.new_id, lease=1, clock=clock)
            clerk = Clerk(lines, files, BatchPaper(), worker.wake, clock=clock)
            sender = Sender(Fetch(Hosts(("127.0.0.1",))), KEY, time.time)
            deliverer = Deliverer(outbox, sender, clock=clock, chance=lambda: 0.5, pause=0.01)
            responses = Responses(inference, DatabaseResponses(database), clock=clock)
            batches = Batches(lines, worker.wake, clerk.wake, clock=clock)
            webhooks = Webhooks(outbox, sender, clock=clock, limit=5)
            kept: Any = {"responses": responses, "batches": batches, "webhooks": webhooks, "files": files}
            told = Services(Workspaces(), inference, web, **kept)
            config = uvicorn.Config(create_app(told), port=0, log_level="error", lifespan="off")
            servers.append(uvicorn.Server(config))
            for work in (responses, worker, clerk, deliverer):
                work.start()
            await servers[0].serve()
            await asyncio.gather(worker.close(), clerk.close(), deliverer.close())
            await responses.close()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        while not (servers and servers[0].started):
            assert thread.is_alive()
            time.sleep(0.005)
        yield f"http://127.0.0.1:{servers[0].servers[0].sockets[0].getsockname()[1]}"
    finally:
        servers[0].should_exit = True
        thread.join()
