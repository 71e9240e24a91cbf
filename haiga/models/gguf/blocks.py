"""Quantised blocks of GGUF tensors to integers and scales.

Rule: nothing is rounded. A block is `scale * (integer - zero)`, and that is how OpenVINO's compressed constants hold
it, so that every type here is kept with the integers that the file has. Where a type has a minimum instead of a zero
(`scale * integer + minimum`), zero is -minimum / scale in float32, which is off by one part in ten million at most.
Layouts: ggml/src/ggml-common.h and ggml-quants.c of llama.cpp.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haiga.models.weights.packing import Grouped, Quantized

Bytes = NDArray[np.uint8]
_LONG = 256  # weights of a K type's block


@dataclass(frozen=True, slots=True)
class BlockType:
    """A tensor type: `weights` in a block of `size` bytes."""

    name: str
    weights: int
    size: int


TYPES: dict[int, BlockType] = {
    number: BlockType(name, weights, size)
    for number, name, weights, size in (
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (9, "Q8_1", 32, 36),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1),
        (25, "I16", 1, 2),
        (26, "I32", 1, 4),
        (27, "I64", 1, 8),
        (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
    )
}


@dataclass(frozen=True, slots=True)
class Decoder:
    """form: how a graph holds the type; unpack: blocks [n, bytes] to integers [n, weights of a block], scales and
    minima [n, groups of a block], minima None where there are none."""

    form: Grouped
    unpack: Callable[[Bytes], tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32] | None]]


def decode(name: str, rows: Bytes) -> Quantized:
    """The integers and scales in `rows` [out, bytes] of type `name`."""
    block = next(each for each in TYPES.values() if each.name == name)
    decoder = DECODERS[name]
    with np.errstate(all="ignore"):  # what is not finite is the caller's to find
        numbers, scales, minima = decoder.unpack(rows.reshape(-1, block.size))
        grouped = numbers.reshape(len(rows), -1, decoder.form.group)
        scales = scales.reshape(len(rows), -1, 1)
        if minima is None:
            return Quantized(grouped, scales)
        return _with_zeros(grouped, scales, minima.reshape(len(rows), -1, 1))


def _with_zeros(numbers: NDArray[Any], scales: NDArray[np.float32], minima: NDArray[np.float32]) -> Quantized:
    """A group without a scale is its minimum all along: then integers are 0, zero -1 and the scale the minimum."""
    flat = scales == 0
    zeros = np.divide(-minima, scales, out=np.full_like(scales, -1), where=~flat)
    return Quantized(np.where(flat, 0, numbers).astype(np.uint8), np.where(flat, minima, scales), zeros)


def _halves(columns: Bytes) -> NDArray[np.float32]:
    """Pairs of bytes as float16."""
    return np.ascontiguousarray(columns).view("<f2").astype(np.float32)


def _nibbles(columns: Bytes) -> Bytes:
    """[n, k] to [n, 2k]: all low halves, then all high ones."""
    return np.concatenate([columns & 0xF, columns >> 4], axis=-1)


def _fifth_bits(columns: Bytes) -> Bytes:
    """Four bytes to 32 bits, each where the fifth bit of its number is."""
    bits: Bytes = np.unpackbits(columns, axis=-1, bitorder="little")
    return bits << np.uint8(4)


def _q8_0(blocks: Bytes) -> Any:
    return blocks[:, 2:].view(np.int8), _halves(blocks[:, :2]), None


def _q4_0(blocks: Bytes) -> Any:
    return _nibbles(blocks[:, 2:]).view(np.int8) - np.int8(8), _halves(blocks[:, :2]), None


def _q4_1(blocks: Bytes) -> Any:
    return _nibbles(blocks[:, 4:]), _halves(blocks[:, :2]), _halves(blocks[:, 2:4])


def _q5_0(blocks: Bytes) -> Any:
    numbers = _nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6])
    return numbers.view(np.int8) - np.int8(16), _halves(blocks[:, :2]), None


def _q5_1(blocks: Bytes) -> Any:
    return _nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8]), _halves(blocks[:, :2]), _halves(blocks[:, 2:4])


def _long_scales(blocks: Bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scales and minima [n, 8] of Q4_K and Q5_K: 6 bits each in 12 bytes, times the block's own two."""
    packed = blocks[:, 4:16].reshape(-1, 3, 4)
    low, high, rest = packed[:, 0], packed[:, 1], packed[:, 2]
    scales = np.concatenate([low & 0x3F, (rest & 0xF) | ((low >> 2) & 0x30)], axis=-1)
    minima = np.concatenate([high & 0x3F, (rest >> 4) | ((high >> 2) & 0x30)], axis=-1)
    return _halves(blocks[:, :2]) * scales, -_halves(blocks[:, 2:4]) * minima


def _q4_k(blocks: Bytes) -> Any:
    quarters = blocks[:, 16:].reshape(-1, 4, 32)
    return _nibbles(quarters).reshape(-1, _LONG), *_long_scales(blocks)


def _q5_k(blocks: Bytes) -> Any:
    quarters = blocks[:, 48:].reshape(-1, 4, 32)
    fifths = (blocks[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None]) & 1
    numbers = _nibbles(quarters).reshape(-1, 8, 32) | fifths << 4
    return numbers.reshape(-1, _LONG), *_long_scales(blocks)


def _q6_k(blocks: Bytes) -> Any:
    low = _nibbles(blocks[:, :128].reshape(-1, 2, 64)).reshape(-1, 8, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = (blocks[:, 128:192].reshape(-1, 2, 1, 32) >> shifts) & 3
    numbers = (low | high.reshape(-1, 8, 32) << 4).view(np.int8) - np.int8(32)
    scales = _halves(blocks[:, 208:]) * blocks[:, 192:208].view(np.int8)
    return numbers.reshape(-1, _LONG), scales, None


def _mxfp4(blocks: Bytes) -> Any:
    powers = np.ldexp(np.float32(1), blocks[:, :1].astype(np.int32) - 127)
    return _nibbles(blocks[:, 1:]), powers, None


DECODERS: dict[str, Decoder] = {
    "Q8_0": Decoder(Grouped("i8", 32), _q8_0),
    "Q4_0": Decoder(Grouped("i4", 32), _q4_0),
    "Q4_1": Decoder(Grouped("u4", 32, zeros=True), _q4_1),
    "Q5_0": Decoder(Grouped("i8", 32), _q5_0),
    "Q5_1": Decoder(Grouped("u8", 32, zeros=True), _q5_1),
    "Q4_K": Decoder(Grouped("u4", 32, zeros=True), _q4_k),
    "Q5_K": Decoder(Grouped("u8", 32, zeros=True), _q5_k),
    "Q6_K": Decoder(Grouped("i8", 16), _q6_k),
    "MXFP4": Decoder(Grouped("f4", 32), _mxfp4),
}
