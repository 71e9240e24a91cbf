"""The web app with batches, over fake engines and a database file, for official SDKs."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Gate
from threading import Thread

import uvicorn

from haiga.core.access import Caller
from haiga.core.generation import Event, TextRequest
from haiga.core.messages import text_of
from haiga.core.ports import Engine, ModelCard
from haiga.engines.fake import FakeEmbedder, FakeEngine
from haiga.engines.fake_classifier import FakeClassifier
from haiga.services.batches import Batches, Clerk, Worker
from haiga.services.decoding.decoder import Decoder
from haiga.services.fetch import Fetch, Hosts
from haiga.services.files import Files, FileSources
from haiga.services.files.service import QUOTA
from haiga.services.inference import Inference
from haiga.services.intake import Intake, IntakeLimits
from haiga.services.models import Models
from haiga.services.moderation import Classifiers, Judging, ModerationStage, Moderator, NoImages, Policies
from haiga.services.moderation.audit import Audit
from haiga.services.moderation.explaining import Explaining
from haiga.services.responses import Responses
from haiga.services.results import ResultCache
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.files import DatabaseFiles
from haiga.stores.responses import DatabaseResponses
from haiga.stores.results import DatabaseResults
from haiga.web.app import Services, WebSettings, create_app
from haiga.wire.anthropic.batches import ENDPOINT, MessageLines
from haiga.wire.openai_batches.lines import openai_lines
from haiga.wire.openai_batches.paper import BatchPaper
from tests.wire.responses_server import Workspaces


class Counting(FakeEngine):
    """Echoes, and keeps what it was asked; waits for the gate before it answers."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.asked: list[TextRequest] = []
        self.gate = Gate()
        self.gate.set()

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        while not self.gate.is_set():
            await asyncio.sleep(0.002)
        async for event in super().generate(request):
            yield event

    @property
    def said(self) -> list[str]:
        return [text_of(request.messages[-1].content) for request in self.asked]


def moderating(policies: Policies, named: Mapping[str, str]) -> tuple[ModerationStage, Judging]:
    """Judges by the words that are named for a category."""
    classifiers = Classifiers([FakeClassifier(named)])
    moderator = Moderator(classifiers)
    explaining = Explaining(classifiers, moderator)
    return (
        ModerationStage(policies, moderator, NoImages(), Audit()),
        Judging(classifiers, NoImages(), policies, moderator, explaining),
    )


@contextmanager
def serving_batches(
    file: Path,
    engines: Sequence[Engine],
    *,
    clock: Callable[[], float] = time.time,
    settings: WebSettings | None = None,
    quota: int = QUOTA,
    intake: IntakeLimits | None = None,
    hosts: Collection[str] = (),
) -> Iterator[str]:
    """The address of a server that runs batches, while the block runs. With `intake` it takes pictures and documents
    in, also from these `hosts`, and has a result cache."""
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        models = Models({engine.card.name: engine for engine in engines}, embedders={"fake": FakeEmbedder()})
        web = settings or WebSettings(open=False)
        async with connect(file) as database:
            files = Files(DatabaseFiles(database), DiskBlobs(file.parent / "blobs"), quota=quota, clock=clock)
            sources, decoder = FileSources(files), Decoder()

            def card(caller: Caller, name: str) -> ModelCard:
                return inference.model(caller, name)

            taking = Intake(decoder, Fetch(Hosts(hosts)), card, intake or IntakeLimits())
            cache = ResultCache(DatabaseResults(database), card, limit=1 << 20, age=3600)

            async def prompted(caller: Caller, request: TextRequest) -> TextRequest:
                resolved = await sources.resolved(caller, request)
                return await taking.resolved(caller, resolved) if intake else resolved

            policies = Policies()
            moderated, judging = moderating(policies, {"vile": "hate"})
            stages = [sources, taking, moderated, cache] if intake else [sources, moderated]
            inference = Inference(models, stages=stages, prompted=prompted, judging=judging)
            store, responses = DatabaseBatches(database), Responses(inference, DatabaseResponses(database))
            forms = {ENDPOINT: MessageLines(), **openai_lines(web.new_id)}
            worker = Worker(inference, store, forms, web.new_id, lease=1, clock=clock)
            clerk = Clerk(store, files, BatchPaper(), worker.wake, clock=clock)
            batches = Batches(store, worker.wake, clerk.wake, clock=clock)
            kept = {"responses": responses, "batches": batches, "files": files, "policies": policies}
            app = create_app(Services(Workspaces(), inference, web, **kept))
            server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
            worker.start()
            clerk.start()
            servers.append(server)
            await server.serve()
            await worker.close()
            await clerk.close()
            await decoder.close()

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
