"""Composition: the models that make pictures."""

from dataclasses import replace
from pathlib import Path

from haiga.config import Settings
from haiga.engines.diffusers.engine import DiffusersEngine
from haiga.engines.diffusers.fitting import Wanted
from haiga.engines.diffusers.opening import is_pipeline, lacking, open_pipeline
from haiga.engines.diffusers.setup import Setup
from haiga.services.library import Progress
from haiga.starter import image_path

STARTER_IMAGE = "starter-image"
STARTER_IMAGE_CREATED = 1795392000  # 2026-11-23, the day this starter was trained


def names_pipeline(path: str) -> bool:
    """Whether there is a model that makes pictures at a path."""
    return is_pipeline(Path(path).expanduser())


def open_painter(name: str, path: Path, tags: tuple[str, ...], settings: Settings) -> DiffusersEngine:
    """Who makes pictures by the model in a directory, not started yet. Raises Invalid."""
    directory = path.expanduser().resolve()
    return open_pipeline(name, directory, int(directory.stat().st_mtime), tags, setup_of(settings))


def starter_painters(tags: tuple[str, ...], settings: Settings) -> dict[str, DiffusersEngine]:
    """The embedded model by its name, not started yet; nothing where what runs it is not installed."""
    if not is_pipeline(image_path()) or lacking() is not None:
        return {}
    setup = replace(setup_of(settings), own_size=True)
    return {STARTER_IMAGE: open_pipeline(STARTER_IMAGE, image_path(), STARTER_IMAGE_CREATED, tags, setup)}


async def prepare_painter(directory: Path, settings: Settings, progress: Progress) -> None:
    """Start the model in a directory once and stop it, so that whatever is wrong with it shows."""
    engine = open_painter(directory.name, directory, (), settings)
    progress("starting", 0, 0)
    try:
        await engine.start()
    finally:
        await engine.close()


def setup_of(settings: Settings) -> Setup:
    """How models that make pictures are to be run."""
    wanted = Wanted(
        settings.image_device,
        settings.image_dtype,
        settings.image_offload,
        settings.image_tiling,
        settings.image_slicing,
        settings.image_attention,
        settings.image_quantised,
    )
    return Setup(settings.shelf, settings.image_pickles, wanted, settings.image_denoiser, settings.image_decoder)
