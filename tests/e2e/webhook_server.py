"""A server with batches, background responses and webhooks over a fake engine: python -m tests.e2e.webhook_server DATA.

Prints its port once it listens. What a former process left under way is taken up after a second.
"""

import asyncio
import socket
import sys
import time
from pathlib import Path

import uvicorn

from haiga.engines.fake import FakeEngine
from haiga.services.access import Access
from haiga.services.batches import Batches, Worker
from haiga.services.fetch import Fetch, Hosts
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.services.webhooks import Deliverer, Sender, Webhooks
from haiga.stores.batches import DatabaseBatches
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from haiga.stores.responses import DatabaseResponses
from haiga.stores.webhooks import DatabaseWebhooks
from haiga.web.app import Services, create_app
from haiga.web.services import random_id
from haiga.wire.anthropic.batches import ENDPOINT, MessageLines


async def main(data: Path) -> None:
    async with connect(data / "haiga.db") as database:
        inference = Inference(Models({"fake": FakeEngine(pace=0.002)}))
        lines, outbox = DatabaseBatches(database), DatabaseWebhooks(database)
        worker = Worker(inference, lines, {ENDPOINT: MessageLines()}, random_id, lease=0.5)
        sender = Sender(Fetch(Hosts(("127.0.0.1",))), b"the server's own key", time.time)
        deliverer = Deliverer(outbox, sender, pause=0.02, lease=1)
        responses = Responses(inference, DatabaseResponses(database), lease=1)
        services = Services(
            Access(DatabaseKeys(database), open_when_empty=True),
            inference,
            responses=responses,
            batches=Batches(lines, worker.wake),
            webhooks=Webhooks(outbox, sender),
        )
        server = uvicorn.Server(uvicorn.Config(create_app(services), log_level="error", lifespan="off"))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for work in (worker, deliverer, responses):
                work.start()
            print(listener.getsockname()[1], flush=True)
            await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
