"""Models that make pictures, found in a directory of diffusers' layout.

Rule: nothing is loaded here, not even a library: what is wrong is told by the process that paints.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.diffusers.engine import WEIGHTS, DiffusersEngine
from haiga.engines.diffusers.setup import Setup

INDEX = "model_index.json"
NEEDED = ("torch", "diffusers", "transformers", "peft", "accelerate")
COMBINING = ("Flux2", "QwenImageEditPlus")  # how the names of pipelines begin that take several pictures as several
ADD = "pip install 'haiga[images]'"


def lacking(needed: Sequence[str] = NEEDED) -> str | None:
    """Why no pictures can be made here; None where they can."""
    missing = [name for name in needed if find_spec(name) is None]
    return f"this server makes no pictures: {missing[0]} is not installed; add it with {ADD}" if missing else None


def is_pipeline(directory: Path) -> bool:
    """Whether a model of diffusers' layout is in it."""
    return (directory / INDEX).is_file()


def parts_of(directory: Path) -> tuple[str, dict[str, int]]:
    """What the model in a directory calls itself, and the bytes of weights of each of its parts that has any. Raises
    Invalid."""
    family, names = _index(directory)
    sizes = {
        name: sum(file.stat().st_size for kind in WEIGHTS for file in (directory / name).glob(kind)) for name in names
    }
    return family.removesuffix("Pipeline"), {name: size for name, size in sizes.items() if size}


def combines(pipeline: str) -> bool:
    """Whether pipelines of that name make a picture from several."""
    return pipeline.startswith(COMBINING)


def _index(directory: Path) -> tuple[str, list[str]]:
    """A model's pipeline, and the names of its parts."""
    try:
        index = json.loads((directory / INDEX).read_text())
        return str(index["_class_name"]), list(index)
    except (OSError, ValueError, KeyError, TypeError):
        raise Invalid(f"{directory / INDEX} cannot be read") from None


def open_pipeline(
    name: str, directory: Path, created: int, tags: tuple[str, ...] = (), setup: Setup | None = None
) -> DiffusersEngine:
    """Who runs the model, not started yet. Raises Invalid where the extra is not installed, or the index cannot be
    read."""
    if (why := lacking()) is not None:
        raise Invalid(f"model {name}: {why}", field="--model")
    can = Capabilities(text=False, prefill=False, painting=True, combines=combines(_index(directory)[0]))
    card = ModelCard(name, name, created, context=0, max_output=0, capabilities=can, tags=tags)
    return DiffusersEngine(card, directory, setup or Setup())
