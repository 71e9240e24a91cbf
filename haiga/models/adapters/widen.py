"""Numbers as an adapter's file holds them, to 32 bits and times a factor, into memory that is there.

Rule: finite numbers only. numpy's own conversion of 16 bits takes three times as long, and steps wait for it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SIGN_AND_NUMBER = np.int32(~0x70000000)  # what is left when a half's 16 bits stand at 13 to 28, the sign above them
_BIAS = 2.0**112  # between the exponents of 16 and of 32 bits


def widen(stored: NDArray[Any], scale: float, into: Floats) -> None:
    """into = stored * scale, where `stored` holds f32, f16 or, as uint16, bf16; its shape is `into`'s."""
    if stored.dtype == np.float32:
        np.multiply(stored, np.float32(scale), out=into)
        return
    halves = np.ascontiguousarray(stored)
    bits = into.view(np.int32)
    if stored.dtype == np.float16:
        np.left_shift(halves.view(np.int16), 13, out=bits, dtype=np.int32)
        np.bitwise_and(bits, _SIGN_AND_NUMBER, out=bits)
        np.multiply(into, np.float32(_BIAS), out=into)
    else:
        np.left_shift(halves.view(np.int16), 16, out=bits, dtype=np.int32)
    if scale != 1:
        np.multiply(into, np.float32(scale), out=into)
