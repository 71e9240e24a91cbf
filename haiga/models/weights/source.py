"""What a graph is fed with: a checkpoint's weights, packed once and kept in an arena.

Rule: matrices of the layers are packed as asked. The embedding table and the head are int8 in an int4 model: a row of
the table is looked up, not multiplied, so the wider type costs no time, and the head decides between tokens, where
4 bits show first; a tied model then holds the one table once. Norms and biases stay f32.
Weights that the file already holds in the wanted type are used where they lie.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from haiga.models.weights.arena import Arena
from haiga.models.weights.checkpoint import Checkpoint, encode_bf16
from haiga.models.weights.packing import LARGEST_GROUP, Packing, group_size, pack_int4, pack_int8, store_int4

Kind = Literal["f32", "bf16", "i8", "i4"]
Progress = Callable[[int], None]
_AT_ONCE = 1 << 20  # weights packed in one go: they and what is made of them stay in the processor's cache
HELD_AS: dict[Packing, str] = {"f32": "F32", "bf16": "BF16"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix as a graph holds it: `bits` is its memory; shape [out, in] or [out, groups, group];
    scales [out, 1] or [out, groups, 1] for the integer kinds."""

    kind: Kind
    shape: tuple[int, ...]
    bits: NDArray[Any]
    scales: NDArray[np.float32] | None = None


class Weights:
    """The checkpoint's weights in one packing. `progress` is told how many weights were packed since the last call.

    activation_group: activations that may share a scale when they are rounded to int8; with wider groups than the
    weights' own the plugin would fall back to float arithmetic, which is 2-3 times slower.
    """

    def __init__(
        self, checkpoint: Checkpoint, packing: Packing, arena: Arena, progress: Progress = lambda _: None
    ) -> None:
        self.checkpoint, self.packing = checkpoint, packing
        self._arena, self._progress = arena, progress
        self.activation_group = LARGEST_GROUP

    def matrix(self, name: str, outer: int, inner: int) -> Stored:
        """A layer's matrix [outer, inner], packed."""
        match self.packing:
            case "int4":
                return self._int4(name, outer, inner)
            case "int8":
                return self._int8(name, outer, inner)
            case _:
                return self._float(name, outer, inner)

    def table(self, name: str, vocabulary: int, hidden: int) -> Stored:
        """The embedding table or the head, at least int8."""
        if self.packing in ("int4", "int8"):
            return self._int8(name, vocabulary, hidden)
        return self._float(name, vocabulary, hidden)

    def vector(self, name: str, size: int) -> NDArray[np.float32]:
        """A norm or a bias."""
        return self.checkpoint.read(name, (size,))

    def release(self) -> None:
        """Drop from memory what can be read again from disk."""
        self._arena.release()
        self.checkpoint.release()

    def _float(self, name: str, outer: int, inner: int) -> Stored:
        kind: Kind = "f32" if self.packing == "f32" else "bf16"
        if self.checkpoint.entry(name).dtype == HELD_AS[self.packing]:
            for _ in self._parts(name, outer, inner):
                pass  # reading them checks that they are finite
            return Stored(kind, (outer, inner), self.checkpoint.stored(name, (outer, inner)))
        dtype = np.dtype(np.float32 if kind == "f32" else np.uint16)

        def fill(bits: NDArray[np.uint8], _: NDArray[np.float32]) -> None:
            target = bits.view(dtype).reshape(outer, inner)
            for rows, part in self._parts(name, outer, inner):
                target[rows] = part if kind == "f32" else encode_bf16(part)

        bits, _ = self._packed(name, outer * inner * dtype.itemsize, 0, fill)
        return Stored(kind, (outer, inner), bits.view(dtype))

    def _int8(self, name: str, outer: int, inner: int) -> Stored:
        def fill(bits: NDArray[np.uint8], scales: NDArray[np.float32]) -> None:
            target = bits.view(np.int8).reshape(outer, 1, inner)
            for rows, part in self._parts(name, outer, inner):
                packed = pack_int8(part)
                target[rows], scales.reshape(outer, 1, 1)[rows] = packed.values, packed.scales

        bits, scales = self._packed(name, outer * inner, outer, fill)
        return Stored("i8", (outer, inner), bits.view(np.int8), scales.reshape(outer, 1))

    def _int4(self, name: str, outer: int, inner: int) -> Stored:
        size = group_size(inner)
        groups = inner // size
        if groups > 1:
            self.activation_group = min(self.activation_group, size)

        def fill(bits: NDArray[np.uint8], scales: NDArray[np.float32]) -> None:
            for rows, part in self._parts(name, outer, inner):
                packed = pack_int4(part)
                scales.reshape(outer, groups, 1)[rows] = packed.scales
                bits[rows.start * inner // 2 : rows.stop * inner // 2] = store_int4(packed.values)

        bits, scales = self._packed(name, outer * inner // 2, outer * groups, fill)
        if groups == 1:
            return Stored("i4", (outer, inner), bits, scales.reshape(outer, 1))
        return Stored("i4", (outer, groups, size), bits, scales.reshape(outer, groups, 1))

    def _packed(
        self, name: str, size: int, scales: int, fill: Callable[[NDArray[np.uint8], NDArray[np.float32]], None]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        found, beside = self._arena.find(name), self._arena.find(name + ".scales")
        if found is None or beside is None or (found.size, beside.size) != (size, scales * 4):
            found, beside = self._arena.room(name, size), self._arena.room(name + ".scales", scales * 4)
            fill(found, beside.view(np.float32))
        return found, beside.view(np.float32)

    def _parts(self, name: str, outer: int, inner: int) -> Any:
        """The matrix in slices of whole rows, an even number of them."""
        step = max(_AT_ONCE // inner // 2 * 2, 2)
        for start in range(0, outer, step):
            rows = slice(start, min(start + step, outer))
            yield rows, self.checkpoint.read(name, (outer, inner), rows)
            self._progress((rows.stop - rows.start) * inner)
