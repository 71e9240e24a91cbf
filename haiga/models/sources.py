"""Which kind of model a path holds, and the tensors in it.

Rule: a directory is a Hugging Face checkpoint, a `.gguf` file a GGUF one; nobody else tells them apart to read weights.
"""

from pathlib import Path

from haiga.models.gguf import GGUF, is_gguf, part_files
from haiga.models.weights import Checkpoint, Tensors
from haiga.models.weights.checkpoint import weight_files


def open_tensors(path: Path) -> Tensors:
    """The tensors at `path`. Raises Invalid naming the file that is missing or damaged."""
    return GGUF(path) if is_gguf(path) else Checkpoint(path)


def source_files(path: Path) -> list[Path]:
    """The files that the weights at `path` lie in. Raises Invalid naming an index that is damaged."""
    return part_files(path) if is_gguf(path) else weight_files(path)
