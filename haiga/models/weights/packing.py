"""Packing of a weight matrix [out, in] to f32, bf16, int8 (by output channel) or int4 (by group), with numpy only.

Rule: symmetric, so a weight is `scale * integer` and nothing else; `dequantize` gives back exactly what the graph
computes with. `kept` packs nothing: integers that a file holds already stay, with the zeros that it may give them.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid

Packing = Literal["f32", "bf16", "int8", "int4", "kept"]
PACKINGS: tuple[Packing, ...] = get_args(Packing)
LARGEST_GROUP = 128
_GROUPS = (LARGEST_GROUP, 64, 32)
_F4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)  # e2m1's numbers by code


HALVES = ("i4", "u4", "f4")  # kinds that lie two to a byte


@dataclass(frozen=True, slots=True)
class Quantized:
    """values: int8 or uint8 [out, groups, group] (4-bit numbers too, one to a byte until stored; floats of 4 bits as
    their codes); scales, and zeros where there are any: float32 [out, groups, 1]."""

    values: NDArray[Any]
    scales: NDArray[np.float32]
    zeros: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Grouped:
    """How a file's integers are held: `group` of them share a scale, and a zero where there are `zeros`."""

    kind: Literal["i8", "u8", "i4", "u4", "f4"]
    group: int
    zeros: bool = False

    def sizes(self, outer: int, inner: int) -> tuple[int, int, int]:
        """Bytes of the integers of a matrix [outer, inner], of its scales, of its zeros."""
        beside = 4 * outer * inner // self.group
        width = 2 if self.kind in HALVES else 1
        return outer * inner // width, beside, beside if self.zeros else 0


def group_size(width: int) -> int:
    """Weights that share an int4 scale: 128, else 64 or 32 if it divides the row, else the whole row."""
    return next((size for size in _GROUPS if width % size == 0), width)


def packed_bytes(shape: tuple[int, ...], packing: Packing) -> int:
    """Bytes of a matrix [out, in] of floats in a packing, scales included."""
    match packing:
        case "f32" | "kept":  # the plugin unfolds 16-bit floats
            return 4 * prod(shape)
        case "bf16":
            return 2 * prod(shape)
        case "int8":
            return prod(shape) + 4 * shape[0]
        case "int4":
            return prod(shape) // 2 + 4 * prod(shape) // group_size(shape[-1])


def pack_int8(weights: NDArray[np.float32]) -> Quantized:
    """One scale per output channel; integers in -127..127."""
    groups = weights[:, None, :]
    largest = np.maximum(groups.max(-1, keepdims=True), -groups.min(-1, keepdims=True))
    return _round(groups, largest / np.float32(127), -127, 127)


def pack_int4(weights: NDArray[np.float32]) -> Quantized:
    """One scale per group of a row; integers in -8..7.

    The scale carries a sign such that the group's largest weight lands on -8, the longer side.
    """
    rows, width = weights.shape
    groups = weights.reshape(rows, -1, group_size(width))
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    return _round(groups, np.where(-low > high, low, high) / np.float32(-8), -8, 7)


def dequantize(packed: Quantized, kind: str = "") -> NDArray[np.float32]:
    """The matrix [out, in] that the graph multiplies with. kind: as `Grouped` has it; only "f4" makes a difference."""
    values = _F4[packed.values] if kind == "f4" else packed.values
    numbers = values if packed.zeros is None else values - packed.zeros
    return (numbers * packed.scales).reshape(len(packed.values), -1)


def store_int4(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Two to a byte, the first in the low half, as OpenVINO's i4 and u4 lie in memory. The count must be even."""
    if values.size % 2:
        raise Invalid(f"int4 needs an even number of weights, a matrix has {values.size}")
    pairs = values.reshape(-1, 2).view(np.uint8)
    packed: NDArray[np.uint8] = (pairs[:, 0] & np.uint8(0xF)) | (pairs[:, 1] << np.uint8(4))
    return packed


def _round(groups: NDArray[np.float32], scales: NDArray[np.float32], low: int, high: int) -> Quantized:
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)
    numbers = groups * inverse
    np.rint(numbers, out=numbers)
    np.clip(numbers, low, high, out=numbers)
    return Quantized(numbers.astype(np.int8), scales)
