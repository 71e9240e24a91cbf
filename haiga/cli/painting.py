"""Composition: jobs for pictures, from the queue to the store."""

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.answering import Answering
from haiga.config import Settings
from haiga.engines.diffusers.opening import lacking
from haiga.services.images import Jobs
from haiga.services.models import Models
from haiga.stores.image_jobs import DatabaseJobs


def painting(settings: Settings, parts: Answering, models: Models, database: AsyncEngine) -> Jobs:
    """The jobs of a server."""
    return Jobs(
        models,
        DatabaseJobs(database),
        parts.files.blobs,
        parts.inference.model,
        gate=parts.moderated.stage,
        missing=lacking(),
        most=settings.image_jobs,
        keep=settings.keep_images,
        discard=parts.files.discard,
        shared=database.dialect.name == "postgresql",
    )
