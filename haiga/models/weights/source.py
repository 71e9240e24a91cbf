"""What a graph is fed with: a checkpoint's weights, packed once and kept in an arena.

Rule: matrices of the layers are packed as asked. The embedding table and the head are int8 in an int4 model: a row of
the table is looked up, not multiplied, so the wider type costs no time, and the head decides between tokens, where
4 bits show first; a tied model then holds the one table once. Norms and biases stay f32. `kept` takes every matrix as
the file has it: floats as they are, integers with their groups.
Weights that the file already holds in the wanted type are used where they lie.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from haiga.models.weights.arena import Arena
from haiga.models.weights.checkpoint import Tensors, encode_bf16
from haiga.models.weights.packing import (
    HALVES,
    LARGEST_GROUP,
    Grouped,
    Packing,
    group_size,
    pack_int4,
    pack_int8,
    packed_bytes,
    store_int4,
)

Float = Literal["f32", "bf16", "f16"]
Kind = Literal["f32", "bf16", "f16", "i8", "u8", "i4", "u4", "f4"]
Fill = Callable[[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]], None]
Progress = Callable[[int], None]
_LEAST_GROUP = 32  # the plugin rounds activations in groups of at least this many
_AT_ONCE = 1 << 20  # weights packed in one go: they and what is made of them stay in the processor's cache
_HELD_AS: dict[Float, str] = {"f32": "F32", "bf16": "BF16", "f16": "F16"}
_WIDTHS: dict[Float, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "bf16": np.dtype(np.uint16),
    "f16": np.dtype(np.float16),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix as a graph holds it: `bits` is its memory; shape [out, in] or [out, groups, group];
    scales, and zeros where there are any, [out, 1] or [out, groups, 1] for the integer kinds."""

    kind: Kind
    shape: tuple[int, ...]
    bits: NDArray[Any]
    scales: NDArray[np.float32] | None = None
    zeros: NDArray[np.float32] | None = None


class Weights:
    """The checkpoint's weights in one packing. `progress` is told how many weights were packed since the last call.

    activation_group: activations that may share a scale when they are rounded to int8; with wider groups than the
    weights' own the plugin would fall back to float arithmetic, which is 2-3 times slower.
    """

    def __init__(
        self, checkpoint: Tensors, packing: Packing, arena: Arena, progress: Progress = lambda _: None
    ) -> None:
        self.checkpoint, self.packing = checkpoint, packing
        self._arena, self._progress = arena, progress
        self.activation_group = LARGEST_GROUP

    def matrix(self, name: str, outer: int, inner: int) -> Stored:
        """A layer's matrix [outer, inner], packed."""
        self.checkpoint.expect(name, (outer, inner))  # before there is room made for it
        match self.packing:
            case "int4":
                return self._int4(name, outer, inner)
            case "int8":
                return self._int8(name, outer, inner)
            case "kept":
                return self._kept(name, outer, inner)
            case _:
                return self._float(name, outer, inner, self.packing)

    def table(self, name: str, vocabulary: int, hidden: int) -> Stored:
        """The embedding table or the head, at least int8."""
        if self.packing in ("int4", "int8"):
            self.checkpoint.expect(name, (vocabulary, hidden))
            return self._int8(name, vocabulary, hidden)
        return self.matrix(name, vocabulary, hidden)

    def vector(self, name: str, *shape: int) -> NDArray[np.float32]:
        """A norm or a bias."""
        return self.checkpoint.read(name, shape)

    def release(self) -> None:
        """Drop from memory what can be read again from disk."""
        self._arena.release()
        self.checkpoint.release()

    def _kept(self, name: str, outer: int, inner: int) -> Stored:
        form = self.checkpoint.grouped(name)
        if form is None:
            return self._float(name, outer, inner, _float_kind(self.checkpoint, name))
        return self._grouped(name, outer, inner, form)

    def _float(self, name: str, outer: int, inner: int, kind: Float) -> Stored:
        if self.checkpoint.lies_as(name, _HELD_AS[kind]):
            for _ in self._parts(name, outer, inner):
                pass  # reading them checks that they are finite
            return Stored(kind, (outer, inner), self.checkpoint.stored(name, (outer, inner)))
        dtype = _WIDTHS[kind]

        def fill(bits: NDArray[np.uint8], *_: NDArray[np.float32]) -> None:
            target = bits.view(dtype).reshape(outer, inner)
            for rows, part in self._parts(name, outer, inner):
                target[rows] = encode_bf16(part) if kind == "bf16" else part

        bits, *_ = self._packed(name, (outer * inner * dtype.itemsize, 0, 0), fill)
        return Stored(kind, (outer, inner), bits.view(dtype))

    def _int8(self, name: str, outer: int, inner: int) -> Stored:
        def fill(bits: NDArray[np.uint8], scales: NDArray[np.float32], _: NDArray[np.float32]) -> None:
            target = bits.view(np.int8).reshape(outer, 1, inner)
            for rows, part in self._parts(name, outer, inner):
                packed = pack_int8(part)
                target[rows], scales.reshape(outer, 1, 1)[rows] = packed.values, packed.scales

        bits, scales, _ = self._packed(name, (outer * inner, 4 * outer, 0), fill)
        return Stored("i8", (outer, inner), bits.view(np.int8), scales.reshape(outer, 1))

    def _int4(self, name: str, outer: int, inner: int) -> Stored:
        size = group_size(inner)
        groups = inner // size
        if groups > 1:
            self.activation_group = min(self.activation_group, size)

        def fill(bits: NDArray[np.uint8], scales: NDArray[np.float32], _: NDArray[np.float32]) -> None:
            for rows, part in self._parts(name, outer, inner):
                packed = pack_int4(part)
                scales.reshape(outer, groups, 1)[rows] = packed.scales
                bits[rows.start * inner // 2 : rows.stop * inner // 2] = store_int4(packed.values)

        bits, scales, _ = self._packed(name, (outer * inner // 2, 4 * outer * groups, 0), fill)
        if groups == 1:
            return Stored("i4", (outer, inner), bits, scales.reshape(outer, 1))
        return Stored("i4", (outer, groups, size), bits, scales.reshape(outer, groups, 1))

    def _grouped(self, name: str, outer: int, inner: int, form: Grouped) -> Stored:
        groups = inner // form.group
        if groups > 1 and form.group >= _LEAST_GROUP and not form.zeros and form.kind != "f4":
            self.activation_group = min(self.activation_group, form.group)

        def fill(bits: NDArray[np.uint8], scales: NDArray[np.float32], zeros: NDArray[np.float32]) -> None:
            for rows in self._rows(outer, inner):
                part = self.checkpoint.quantized(name, (outer, inner), rows)
                whole = store_int4(part.values) if form.kind in HALVES else part.values.view(np.uint8)
                bits.reshape(outer, -1)[rows] = whole.reshape(len(part.values), -1)
                scales.reshape(outer, groups, 1)[rows] = part.scales
                if part.zeros is not None:
                    zeros.reshape(outer, groups, 1)[rows] = part.zeros

        bits, scales, zeros = self._packed(name, form.sizes(outer, inner), fill)
        shape = (outer, groups, form.group) if groups > 1 else (outer, inner)
        beside = (*shape[:-1], 1)
        return Stored(form.kind, shape, bits, scales.reshape(beside), zeros.reshape(beside) if form.zeros else None)

    def _packed(
        self, name: str, sizes: tuple[int, int, int], fill: Fill
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """The matrix, its scales and its zeros from the arena, filled if they are not there yet; sizes in bytes."""
        named = {name + part: size for part, size in zip(("", ".scales", ".zeros"), sizes, strict=True) if size}
        found = {each: self._arena.find(each) for each in named}
        ready = {each: bits for each, bits in found.items() if bits is not None and bits.size == named[each]}
        stretches = ready if len(ready) == len(named) else {each: self._arena.room(each, named[each]) for each in named}
        nothing = np.empty(0, np.uint8)
        bits, scales, zeros = (stretches.get(name + part, nothing) for part in ("", ".scales", ".zeros"))
        if stretches is not ready:
            fill(bits, scales.view(np.float32), zeros.view(np.float32))
        return bits, scales.view(np.float32), zeros.view(np.float32)

    def _parts(self, name: str, outer: int, inner: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        for rows in self._rows(outer, inner):
            yield rows, self.checkpoint.read(name, (outer, inner), rows)

    def _rows(self, outer: int, inner: int) -> Iterator[slice]:
        """The matrix in slices of whole rows, an even number of them."""
        step = max(_AT_ONCE // inner // 2 * 2, 2)
        for start in range(0, outer, step):
            rows = slice(start, min(start + step, outer))
            yield rows
            self._progress((rows.stop - rows.start) * inner)


def packed_size(checkpoint: Tensors, name: str, packing: Packing) -> int:
    """Bytes that packing the matrix `name` takes at most; 0 where it is used as it lies in the file."""
    shape, form = checkpoint.entry(name).shape, checkpoint.grouped(name)
    if packing == "kept" and form is not None:
        return sum(form.sizes(*shape))
    kind = {"f32": "F32", "bf16": "BF16", "kept": checkpoint.entry(name).dtype}.get(packing)
    if checkpoint.lies_as(name, kind):
        return 0
    return packed_bytes(shape, "int8" if packing == "int4" else packing)


def _float_kind(checkpoint: Tensors, name: str) -> Float:
    """The type of a float tensor; anything else is read, and so refused, as f32."""
    dtype = checkpoint.entry(name).dtype
    return next((kind for kind, held in _HELD_AS.items() if held == dtype), "f32")
