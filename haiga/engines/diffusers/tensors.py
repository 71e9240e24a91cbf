"""Weights from a file, by their names.

Rule: safetensors are read as they are; a pickle, where it is allowed at all, as weights and nothing else.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from haiga.core.errors import Invalid
from haiga.engines.diffusers.shelf import SAFE

HEADER = 8  # bytes that give the length of a safetensors file's header


def tensors(path: Path, field: str) -> dict[str, torch.Tensor]:
    """Raises Invalid for a file that holds something else."""
    try:
        if path.suffix.lower() == SAFE:
            return dict(load_file(path))
        return _flat(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, AttributeError) as problem:
        raise Invalid(f"{path.name} cannot be read as weights: {problem}", field=field) from None
    except Exception as problem:  # torch's refusal of code in a pickle has no public class of its own
        raise Invalid(f"{path.name} is refused: {problem}", field=field) from None


def digest(path: Path) -> str:
    """What other programs name a LoRA's file by: SHA-256 of all behind a safetensors header (kohya's sd-scripts), of
    the whole file for others; the first 12 digits."""
    with path.open("rb") as file:
        if path.suffix.lower() == SAFE:
            file.seek(HEADER + int.from_bytes(file.read(HEADER), "little"))
        made = sha256()
        while block := file.read(1 << 20):
            made.update(block)
    return made.hexdigest()[:12]


def _flat(loaded: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a pickle, those of its dictionaries too."""
    for inner in ("params_ema", "params", "state_dict", "string_to_param"):
        if isinstance(loaded.get(inner), Mapping):
            return _flat(loaded[inner])
    return {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
