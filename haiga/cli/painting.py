"""Composition: jobs for pictures, from the queue to the store."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.answering import Answering
from haiga.config import Settings
from haiga.core.errors import Invalid
from haiga.core.palette import Palette
from haiga.engines.diffusers.opening import lacking
from haiga.engines.diffusers.palette import palette
from haiga.engines.diffusers.samplers import NAMES
from haiga.engines.diffusers.shelf import Shelf
from haiga.services.images import Jobs
from haiga.services.images.styles import StyleFile
from haiga.services.images.wildcards import WildcardFolder
from haiga.services.models import Models
from haiga.stores.image_jobs import DatabaseJobs


def named(shelf: Shelf, styles: Path) -> Callable[[], Palette]:
    """What requests for pictures can name, read anew at each look; `styles` is a file of prompt styles."""
    file = StyleFile(styles)
    return lambda: replace(palette(shelf), styles=file.styles)


def styles_of(settings: Settings) -> Path:
    """The file of prompt styles, which need not be there unless a setting names it. Raises Invalid."""
    if settings.image_styles is not None and not settings.image_styles.is_file():
        raise Invalid(f"{settings.image_styles} is no file", field="--image-styles")
    return settings.image_styles or settings.data_dir / "styles.csv"


def painting(settings: Settings, parts: Answering, models: Models, database: AsyncEngine) -> Jobs:
    """The jobs of a server."""
    return Jobs(
        models,
        DatabaseJobs(database),
        parts.files.blobs,
        parts.inference.model,
        names=NAMES,
        cards=WildcardFolder(settings.data_dir / "wildcards").cards,
        gate=parts.moderated.stage,
        missing=lacking(),
        most=settings.image_jobs,
        keep=settings.keep_images,
        tally=parts.metered.tally,
        discard=parts.files.discard,
        shared=database.dialect.name == "postgresql",
    )
