"""Which texts are run side by side, where each is run whole: texts of about one length.

Rule: the oldest always goes; with it go those that are padded to the same width, oldest first. Pure.
"""

from collections.abc import Sequence

LEAST = 16


def padded(length: int) -> int:
    """The width that a text of `length` tokens is padded to: at most a quarter more, or 16."""
    step = max(LEAST, 1 << max((length - 1).bit_length() - 3, 0))
    return -(-length // step) * step


def choose(lengths: Sequence[int], budget: int) -> list[int]:
    """Indices of the next texts to run, out of those that wait, oldest first: at most `budget` tokens with their
    padding, or the oldest alone."""
    width = padded(lengths[0])
    alike = [at for at, length in enumerate(lengths) if padded(length) == width]
    return alike[: max(1, budget // width)]
