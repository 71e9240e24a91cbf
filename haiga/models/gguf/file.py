"""A GGUF file, or the parts of a split one, as the tensors and the config of a model.

Rule: from here on nobody need know that it was GGUF: tensors have Hugging Face's names, and rows its order.
llama.cpp turns neighbouring pairs of a head where transformers turns its halves, and its converter interleaves the rows
of queries and keys for that; here they are taken back row by row, so that quantised blocks stay whole.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid
from haiga.models.fields import Fields
from haiga.models.geometry import read_geometry
from haiga.models.gguf.blocks import DECODERS, decode
from haiga.models.gguf.config import read_config, read_generation
from haiga.models.gguf.container import Container, part_files, read_container
from haiga.models.gguf.families import INTERLEAVED, RAISED
from haiga.models.gguf.names import rename
from haiga.models.weights.checkpoint import Tensors
from haiga.models.weights.entry import Entry
from haiga.models.weights.packing import Grouped, Quantized

_FLOATS = ("F32", "F16", "BF16")
_ROPE = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


class GGUF(Tensors):
    """The tensors of the GGUF file at `path`, any part of a split one.

    Raises Invalid naming the file and the field or tensor for whatever is damaged, missing or not supported.
    """

    def __init__(self, path: Path) -> None:
        container = read_parts(path)
        super().__init__(path, Fields(str(path), {}), container.entries)
        self._heads: dict[str, int] = {}
        self._raised = False
        factors = {name: self.read(name, self.entry(name).shape) for name in _ROPE if name in container.entries}
        self.config, self.generation = read_config(container, factors), read_generation(container)
        kind = container.metadata["general.architecture"]
        self._raised = kind in RAISED
        self._entries = rename(path, kind, {name: at for name, at in container.entries.items() if name not in _ROPE})
        if kind in INTERLEAVED:
            heads = read_geometry(self.config, self.config["architectures"][0]).heads
            self._heads = {"q_proj": heads.query, "k_proj": heads.key_value}

    def lies_as(self, name: str, dtype: str | None) -> bool:
        """As `Tensors.lies_as`; rows that are interleaved must be put in order first."""
        return super().lies_as(name, dtype) and not self._interleaved(name)

    def grouped(self, name: str) -> Grouped | None:
        """How the tensor's integers are held; None for floats. Raises Invalid for a type that is not supported."""
        entry = self.entry(name)
        if entry.dtype in _FLOATS:
            return None
        if entry.dtype not in DECODERS:
            known = ", ".join((*_FLOATS, *DECODERS))
            raise Invalid(f"{entry.file}: tensor {name} is {entry.dtype}, which is not supported; supported: {known}")
        return DECODERS[entry.dtype].form

    def quantized(self, name: str, shape: tuple[int, ...], rows: slice) -> Quantized:
        """`rows` of a quantised tensor as the integers that the file has. Raises Invalid for scales that are not
        finite."""
        entry = self.expect(name, shape)
        blocks = self._mapped(entry, np.dtype(np.uint8)).reshape(shape[0], -1)
        packed = decode(entry.dtype, blocks[self._order(name, rows, shape[0])])
        if not np.isfinite(packed.scales).all() or (packed.zeros is not None and not np.isfinite(packed.zeros).all()):
            raise Invalid(f"{entry.file}: tensor {name} has scales that are not finite")
        return packed

    def read(self, name: str, shape: tuple[int, ...], rows: slice = slice(None)) -> NDArray[np.float32]:
        """`rows` of the tensor as finite float32, dequantised if need be."""
        if self._raised and name.endswith("norm.weight"):
            return super().read(name, shape, rows) - np.float32(1)
        if self.grouped(name) is not None or not self._interleaved(name):
            return super().read(name, shape, rows)
        return super().read(name, shape)[self._order(name, rows, shape[0])]

    def _interleaved(self, name: str) -> bool:
        return name.rpartition(".")[0].rpartition(".")[2] in self._heads

    def _order(self, name: str, rows: slice, count: int) -> slice | NDArray[np.intp]:
        """Where the file has these rows."""
        heads = self._heads.get(name.rpartition(".")[0].rpartition(".")[2])
        if heads is None:
            return rows
        if count % (2 * heads):
            raise Invalid(f"{self.directory}: tensor {name} has {count} rows, which {heads} heads do not share evenly")
        return np.arange(count).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)[rows]


def read_parts(path: Path) -> Container:
    """The headers of all parts as one; metadata is the first part's."""
    parts = [read_container(file) for file in part_files(path)]
    first, entries = parts[0], dict[str, Entry]()
    fields = Fields(str(first.file), first.metadata)
    count = fields.integer("split.count", 1, least=0) or 1
    if count != len(parts):
        raise fields.refuse("split.count", f"is {count}, but the file's name says {len(parts)}")
    for number, part in enumerate(parts):
        told = Fields(str(part.file), part.metadata)
        if count > 1 and told.integer("split.no", least=0) != number:
            raise told.refuse("split.no", f"is {told['split.no']}, but the file's name says {number}")
        if double := next((name for name in part.entries if name in entries), None):
            raise Invalid(f"{part.file}: tensor {double} stands in another part too")
        entries |= part.entries
    whole = fields.integer("split.tensors.count", len(entries), least=0)
    if count > 1 and whole != len(entries):
        raise fields.refuse("split.tensors.count", f"is {whole}, but the parts have {len(entries)} tensors")
    return Container(first.file, first.metadata, entries)
