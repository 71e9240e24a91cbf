"""Composition: jobs for pictures, from the queue to the store."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.answering import Answering
from haiga.config import Settings
from haiga.core.palette import Palette
from haiga.engines.diffusers.opening import lacking
from haiga.engines.diffusers.palette import palette
from haiga.engines.diffusers.shelf import Shelf
from haiga.services.images import Jobs
from haiga.services.models import Models
from haiga.stores.image_jobs import DatabaseJobs


def named(settings: Settings) -> Callable[[], Palette]:
    """What requests for pictures can name, read anew at each look."""
    return partial(palette, Shelf(settings.shelf, settings.image_pickles))


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
        tally=parts.metered.tally,
        discard=parts.files.discard,
        shared=database.dialect.name == "postgresql",
    )
