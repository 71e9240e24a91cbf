"""Composition: the one path to the models and who runs batches over it, alike in servers and workers."""

from dataclasses import dataclass
from importlib.metadata import version

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.metering import Metering, metering
from haiga.cli.moderating import Moderating, moderating
from haiga.cli.routes import check_routes, read_routes
from haiga.cli.tools import read_tools
from haiga.cli.tracing import Traces, traces
from haiga.config import Settings
from haiga.core.access import Caller
from haiga.core.generation import TextRequest
from haiga.core.hours import Hours
from haiga.core.ports import Stage
from haiga.services.access import Access
from haiga.services.batches import Form, Worker
from haiga.services.decoding.decoder import Decoder
from haiga.services.fetch import Fetch, Hosts
from haiga.services.files import Files, FileSources
from haiga.services.inference import Inference
from haiga.services.intake import Intake, IntakeLimits
from haiga.services.models import Models
from haiga.services.results import ResultCache
from haiga.services.tools import Connector, ServerTools
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.files import DatabaseFiles
from haiga.stores.results import DatabaseResults
from haiga.stores.secret import kept_secret
from haiga.web.services import random_id
from haiga.wire.anthropic.batches import ENDPOINT, MessageLines
from haiga.wire.openai_batches.lines import openai_lines


@dataclass(frozen=True, slots=True)
class Answering:
    """`key` signs what is to be known again; the worker is not started, the decoder starts when it is needed."""

    key: bytes
    fetch: Fetch
    metered: Metering
    inference: Inference
    files: Files
    worker: Worker
    cache: ResultCache
    decoder: Decoder
    moderated: Moderating
    traces: Traces | None


def answering(settings: Settings, access: Access, models: Models, database: AsyncEngine) -> Answering:
    """The parts for these settings. Raises Invalid for a file that they name and that is wrong."""
    key = kept_secret(settings.signing_key)
    fetch = Fetch(Hosts(settings.allow_fetch), offline=settings.offline)
    configured = read_tools(settings.tools, settings.offline)
    tools = ServerTools(configured.registry, Connector(fetch), models.take_tools, configured.rounds)
    blobs = DiskBlobs(settings.data_dir / "blobs")
    files = Files(
        DatabaseFiles(database),
        blobs,
        quota=settings.file_quota,
        storage=settings.file_storage,
        keep=settings.keep_files,
    )
    sources, decoder = FileSources(files), Decoder()
    intake = Intake(decoder, fetch, lambda caller, name: inference.model(caller, name), intake_limits(settings))

    async def prompted(caller: Caller, request: TextRequest) -> TextRequest:
        return await tools.prompted(caller, await intake.resolved(caller, await sources.resolved(caller, request)))

    metered = metering(settings, database, models, lambda: inference, access.holder)
    cache = ResultCache(
        DatabaseResults(database),
        lambda caller, name: inference.model(caller, name),
        limit=settings.result_cache_size,
        age=settings.result_cache_age,
        unasked=settings.result_cache,
        release=version("haiga") + ("" if settings.tools is None else settings.tools.read_text()),
    )
    moderated = moderating(settings, database, models, metered, Inference(models, key, [metered.recorder]))
    routes = read_routes(settings.routes)
    check_routes(settings.routes, routes, models.card)
    stages: list[Stage] = [*metered.stages, sources, intake, moderated.stage, cache, tools]
    sent = traces(settings)
    traced = () if sent is None else (sent.stage(models),)
    stages += traced
    inference = Inference(models, key, stages, [*metered.stages, *traced], prompted, moderated.judging, routes)
    forms: dict[str, Form] = {ENDPOINT: MessageLines(), **openai_lines(random_id)}
    lines, hours = DatabaseBatches(database, int(settings.keep_batches)), Hours(settings.batch_window)
    worker = Worker(inference, lines, forms, random_id, holder=access.holder, hours=hours)
    return Answering(key, fetch, metered, inference, files, worker, cache, decoder, moderated, sent)


def intake_limits(settings: Settings) -> IntakeLimits:
    return IntakeLimits(
        image_size=settings.image_size,
        image_side=settings.image_side,
        image_side_many=settings.image_side_many,
        images=settings.images,
        image_edge=settings.image_edge,
        pdf_pages=settings.pdf_pages,
        pdf_edge=settings.pdf_edge,
    )
