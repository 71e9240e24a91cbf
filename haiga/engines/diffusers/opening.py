"""Models that make pictures, found in a directory of diffusers' layout.

Rule: nothing is loaded here, not even a library: what is wrong is told by the process that paints.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.diffusers.engine import DiffusersEngine
from haiga.engines.diffusers.setup import Setup

INDEX = "model_index.json"
NEEDED = ("torch", "diffusers", "transformers", "peft", "accelerate")
ADD = "pip install 'haiga[images]'"


def lacking(needed: Sequence[str] = NEEDED) -> str | None:
    """Why no pictures can be made here; None where they can."""
    missing = [name for name in needed if find_spec(name) is None]
    return f"this server makes no pictures: {missing[0]} is not installed; add it with {ADD}" if missing else None


def is_pipeline(directory: Path) -> bool:
    """Whether a model of diffusers' layout is in it."""
    return (directory / INDEX).is_file()


def open_pipeline(
    name: str, directory: Path, created: int, tags: tuple[str, ...] = (), setup: Setup | None = None
) -> DiffusersEngine:
    """Who runs the model, not started yet. Raises Invalid where the extra is not installed."""
    if (why := lacking()) is not None:
        raise Invalid(f"model {name}: {why}", field="--model")
    can = Capabilities(text=False, prefill=False, painting=True)
    card = ModelCard(name, name, created, context=0, max_output=0, capabilities=can, tags=tags)
    return DiffusersEngine(card, directory, setup or Setup())
