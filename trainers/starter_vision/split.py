"""What is held out of training.

Rule: by hash, so that the split is the same on every machine and in every run; the held-out part is drawn by measuring
alone.
"""

import hashlib
from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def is_held_out(*key: object, share: float = 0.15) -> bool:
    """Whether what has this key is only measured with."""
    digest = hashlib.sha256("\n".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def parted(values: Iterable[T], held: bool, share: float = 0.15) -> list[T]:
    """Those of the values that are held out, or the others."""
    return [value for value in values if is_held_out(value, share=share) == held]


def between(rng: Random, low: float, high: float, held: bool, parts: int = 20) -> float:
    """A number from one of `parts` pieces of the range; every fifth piece is held out."""
    pieces = [at for at in range(parts) if (at % 5 == 2) == held]
    return low + (high - low) * (rng.choice(pieces) + rng.random()) / parts


def pick(rng: Random, values: Sequence[T], held: bool, share: float = 0.15) -> T:
    """One of those values that are held out, or of the others."""
    return rng.choice(parted(values, held, share))
