"""Composition: the models that make pictures."""

from pathlib import Path

from haiga.config import Settings
from haiga.engines.diffusers.engine import DiffusersEngine
from haiga.engines.diffusers.opening import is_pipeline, open_pipeline
from haiga.engines.diffusers.setup import Setup


def names_pipeline(path: str) -> bool:
    """Whether there is a model that makes pictures at a path that a setting names."""
    return is_pipeline(Path(path).expanduser())


def open_painter(name: str, path: Path, tags: tuple[str, ...], settings: Settings) -> DiffusersEngine:
    """Who makes pictures by the model in a directory, not started yet. Raises Invalid."""
    directory = path.expanduser().resolve()
    setup = Setup(shelf=settings.shelf, pickles=settings.image_pickles)
    return open_pipeline(name, directory, int(directory.stat().st_mtime), tags, setup)
