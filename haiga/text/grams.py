"""Words as rows of a table: each word by its pieces, so that a word never seen before still resembles others.

Rule: a row is a hash (CRC-32) of a word or of three or four characters of it, as in fastText (arXiv 1607.04606); the
same in training and in use, on every machine. Row 0 is padding.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

KNOWN = 50_000  # words whose rows are remembered


class Grams:
    """Rows of words, `count` each, of a table with `rows` rows."""

    def __init__(self, rows: int, count: int) -> None:
        self._rows, self._count = rows, count
        self._known: dict[str, NDArray[np.int32]] = {}

    def table(self, words: Sequence[str], length: int) -> NDArray[np.int32]:
        """Rows of the first `length` words, [length, count], padded with zeros."""
        table = np.zeros((length, self._count), np.int32)
        for place, word in enumerate(words[:length]):
            table[place] = self._kept(word)
        return table

    def _kept(self, word: str) -> NDArray[np.int32]:
        if word not in self._known:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[word] = self.of_word(word)
        return self._known[word]

    def of_word(self, word: str) -> NDArray[np.int32]:
        """Rows of one word, [count], padded with zeros; not remembered."""
        edged = f"<{word}>"
        pieces = [edged, *(edged[i : i + n] for n in (3, 4) for i in range(len(edged) - n + 1) if len(edged) > n)]
        rows = [crc32(piece.encode()) % (self._rows - 1) + 1 for piece in pieces[: self._count]]
        return np.array(rows + [0] * (self._count - len(rows)), np.int32)
