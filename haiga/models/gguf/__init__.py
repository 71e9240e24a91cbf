"""GGUF files: the container (container), its quantised blocks (blocks), metadata as config.json's fields (config), and
all of it as a model's tensors (file)."""

from haiga.models.gguf.container import is_gguf, part_files
from haiga.models.gguf.file import GGUF, read_parts

__all__ = ["GGUF", "is_gguf", "part_files", "read_parts"]
