"""Packing of a weight matrix [out, in] to f32, bf16, int8 (by output channel) or int4 (by group), with numpy only.

Rule: symmetric, so a weight is `scale * integer` and nothing else; `dequantize` gives back exactly what the graph
computes with. What is packed: every matrix of the layers. Norms and biases stay f32. For int4 the embedding table
and the head are int8: a row of the table is looked up, not multiplied, so it costs no time, and the head decides
between tokens, where the error of 4 bits shows first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid

Packing = Literal["f32", "bf16", "int8", "int4"]
PACKINGS: tuple[Packing, ...] = ("f32", "bf16", "int8", "int4")
_GROUPS = (128, 64, 32)


@dataclass(frozen=True, slots=True)
class Quantized:
    """values: int8 [out, groups, group] (int4 numbers too, one to a byte until they are stored); scales: float32
    [out, groups, 1]; bits: 8 or 4."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    bits: int


def group_size(width: int) -> int:
    """Weights that share a scale: 128, else the largest of 64 and 32 that divides the row, else the whole row."""
    return next((size for size in _GROUPS if width % size == 0), width)


def pack_int8(weights: NDArray[np.float32]) -> Quantized:
    """One scale per output channel; integers in -127..127."""
    return _pack(weights[:, None, :], 127, 8)


def pack_int4(weights: NDArray[np.float32]) -> Quantized:
    """One scale per group of a row; integers in -8..7.

    The scale carries the sign of the group's largest weight so that this weight lands on -8, the longer side.
    """
    rows, width = weights.shape
    return _pack(weights.reshape(rows, -1, group_size(width)), -8, 4)


def dequantize(packed: Quantized) -> NDArray[np.float32]:
    """The matrix [out, in] that the graph multiplies with."""
    return (packed.values * packed.scales).reshape(len(packed.values), -1)


def store_int4(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two to a byte, the first in the low half, as OpenVINO's i4 lies in memory. The count must be even."""
    if values.size % 2:
        raise Invalid(f"int4 needs an even number of weights, the matrix has {values.size}")
    pairs = values.reshape(-1, 2).view(np.uint8)
    return (pairs[:, 0] & 0xF) | (pairs[:, 1] << 4)


def _pack(groups: NDArray[np.float32], reach: int, bits: int) -> Quantized:
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    largest = np.where(-low > high, low, high) if reach < 0 else np.maximum(-low, high)
    scales = (largest / np.float32(reach)).astype(np.float32)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)
    top = 7 if bits == 4 else 127
    values = np.clip(np.rint(groups * inverse), -8 if bits == 4 else -127, top).astype(np.int8)
    return Quantized(values, scales, bits)
