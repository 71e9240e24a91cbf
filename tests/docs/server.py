"""The app that the examples of the documents are run on: over fake engines, so that answers can be foretold.

Rule: nothing here is a mock. `echo` repeats what it is told, `repeating` does and takes tools, `failing` dies in the
middle of an answer, `calling` calls a tool, `thinking` thinks first, `summing` sums up. Nobody works on batches, so
that they stay as they were made.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from haiga.core.errors import Dead
from haiga.core.generation import BlockStarted, BlockStopped, Finished, InputDelta, TextDelta, ThinkingDelta, Usage
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.core.ports import Capabilities, Engine
from haiga.engines.fake import CARD, VECTORS, FakeEmbedder, FakeEngine
from haiga.engines.fake_classifier import FakeClassifier
from haiga.engines.fake_painter import CARD as PAINTER
from haiga.engines.fake_painter import FakePainter
from haiga.services.access import Access
from haiga.services.audit import Audit
from haiga.services.batches import Batches
from haiga.services.decoding.decoder import Decoder
from haiga.services.erasure import Erasure
from haiga.services.fetch import Fetch
from haiga.services.files import Files
from haiga.services.images import Jobs
from haiga.services.images.taking import Taker
from haiga.services.inference import Inference
from haiga.services.metrics import Metrics
from haiga.services.models import Models
from haiga.services.moderation import Classifiers, Judging, ModerationStage, Moderator, NoImages, Policies
from haiga.services.moderation.audit import Audit as ModerationAudit
from haiga.services.moderation.explaining import Explaining
from haiga.services.responses import Responses
from haiga.services.tools import Connector, Registry, ServerTools
from haiga.services.usage import Ledger
from haiga.services.webhooks import Sender, Webhooks
from haiga.stores.audit import DatabaseAudit
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.chats import DatabaseChats
from haiga.stores.connect import connect
from haiga.stores.erasure import erase
from haiga.stores.files import DatabaseFiles
from haiga.stores.image_jobs import DatabaseJobs
from haiga.stores.keys import DatabaseKeys
from haiga.stores.policies import DatabasePolicies
from haiga.stores.responses import DatabaseResponses
from haiga.stores.usage import DatabaseUsage
from haiga.stores.webhooks import DatabaseWebhooks
from haiga.web.app import Services, WebSettings, create_app

ADDRESS = "http://127.0.0.1:8000"
CREATED = 1795305600
ECHO = replace(
    CARD,
    name="echo",
    display_name="Echo",
    created=CREATED,
    capabilities=Capabilities(embeddings=True),
    dimensions=VECTORS.dimensions,
)
FAILURE = Dead("the engine of model failing stopped unexpectedly and is being started again")


def engines() -> dict[str, Engine]:
    """By name; each but `echo` plays its script."""
    breaking = (BlockStarted(0, Text("")), TextDelta(0, "Once"), FAILURE)
    call = ToolUse("toolu_5f1d8c02a9b74e6388d0c1b2", "weather", {})
    calling = (BlockStarted(0, call), InputDelta(0, '{"at": "Kyoto"}'), BlockStopped(0), Finished("tool_use", Usage()))
    able = replace(ECHO, name="calling", capabilities=Capabilities(tools=True, structured_output=True))
    thought = (BlockStarted(0, Thinking("")), ThinkingDelta(0, "Where is it?"), BlockStopped(0))
    thinking = (*thought, BlockStarted(1, Text("")), TextDelta(1, "Rainy."), BlockStopped(1))
    pensive = replace(ECHO, name="thinking", capabilities=Capabilities(thinking=True))
    summary = (BlockStarted(0, Text("")), TextDelta(0, "<summary>The sea is blue.</summary>"), BlockStopped(0))
    summing = replace(ECHO, name="summing")
    scripts = ((replace(ECHO, name="failing"), breaking), (able, calling), (pensive, thinking), (summing, summary))
    repeating = FakeEngine(replace(ECHO, name="repeating", capabilities=Capabilities(embeddings=True, tools=True)))
    made = (FakeEngine(ECHO), repeating, *(FakeEngine(card, script) for card, script in scripts))
    return {engine.card.name: engine for engine in made}


@asynccontextmanager
async def services(directory: Path) -> AsyncIterator[Services]:
    """All that a server has, its database in `directory`; ids end alike. `repeating` stands in for the starter."""
    async with connect(directory / "haiga.db") as database:
        embedders = {name: FakeEmbedder() for name in ("echo", "repeating")}
        painters = {"brush": FakePainter(replace(PAINTER, created=CREATED))}
        aliases = [("claude-*", "echo"), ("starter", "repeating")]
        models = Models(engines(), aliases, embedders=embedders, painters=painters)
        for name in embedders:
            await models.engine(name).start()
        tools = ServerTools(Registry(), Connector(Fetch()), models.take_tools)
        policies = Policies(store=DatabasePolicies(database))
        classifiers = Classifiers([FakeClassifier({"vile": "hate"})])
        moderator = Moderator(classifiers)
        stage = ModerationStage(policies, moderator, NoImages(), ModerationAudit())
        judging = Judging(classifiers, NoImages(), policies, moderator, Explaining(classifiers, moderator))
        inference = Inference(
            models, secret=b"the documents' own", stages=[stage, tools], prompted=tools.prompted, judging=judging
        )
        access = Access(DatabaseKeys(database), open_when_empty=True)
        settings = WebSettings(new_id=lambda prefix: f"{prefix}_5f1d8c02a9b74e6388d0c1b2")
        responses = Responses(inference, DatabaseResponses(database))
        chats, batches = DatabaseChats(database), Batches(DatabaseBatches(database), wake=lambda: None)
        files = Files(DatabaseFiles(database), DiskBlobs(directory / "blobs"))
        jobs = Jobs(models, DatabaseJobs(database), files.blobs, inference.model, gate=stage, discard=files.discard)
        jobs.start()
        webhooks = Webhooks(DatabaseWebhooks(database), Sender(Fetch(), b"the documents' own", time.time))
        yield Services(
            access,
            inference,
            settings,
            ledger=Ledger(DatabaseUsage(database)),
            keyring=access,
            metrics=Metrics(models.loads),
            responses=responses,
            chats=chats,
            batches=batches,
            webhooks=webhooks,
            files=files,
            policies=policies,
            jobs=jobs,
            taker=Taker(Fetch(), Decoder()),
            audit=Audit(DatabaseAudit(database)),
            erasure=Erasure(access, partial(erase, database), files.sweep, lambda name: None),
        )
        await jobs.close()


@asynccontextmanager
async def client(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, with no socket between."""
    async with services(directory) as served:
        transport = httpx.ASGITransport(create_app(served))
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as connected:
            yield connected
