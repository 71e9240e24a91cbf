"""A Runner without a model: its keys and values are hashes.

What it keeps for a token is a hash of that token and of what is kept for the token before it, read back from the
block table, just as real keys and values depend on all that came before. The logits follow from the last hash, so a
block reused for the wrong content, or written while somebody else reads it, changes every later token.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from haiga.core.ports import Row

Logits = NDArray[np.float32]


class HashingRunner:
    def __init__(self, blocks: int = 16, block_size: int = 4, vocabulary: int = 50) -> None:
        self.blocks = blocks
        self.block_size = block_size
        self.vocabulary = vocabulary
        self.tokens: list[list[int | None]] = [[None] * block_size for _ in range(blocks)]
        self._kept: list[list[int]] = [[0] * block_size for _ in range(blocks)]
        self.steps: list[int] = []
        self.closed = False

    def step(self, rows: Sequence[Row]) -> Logits:
        self.steps.append(sum(len(row.tokens) for row in rows))
        logits = [each for row in rows for each in self._run(row)]
        return np.array(logits, np.float32).reshape(-1, self.vocabulary)

    def _run(self, row: Row) -> list[Logits]:
        assert len(row.tokens) >= 1
        assert -(-(row.past + len(row.tokens)) // self.block_size) == len(row.blocks)
        states = [self._write(row, row.past + offset, token) for offset, token in enumerate(row.tokens)]
        return [self.logits(state) for state in states[len(states) - row.sampled :]]

    def _write(self, row: Row, position: int, token: int) -> int:
        block, slot = row.blocks[position // self.block_size], position % self.block_size
        if slot == 0:
            self.tokens[block] = [None] * self.block_size
            self._kept[block] = [-1] * self.block_size
        before = self._at(row, position - 1) if position else 0
        self.tokens[block][slot] = token
        self._kept[block][slot] = hash((before, token))
        return self._kept[block][slot]

    def _at(self, row: Row, position: int) -> int:
        return self._kept[row.blocks[position // self.block_size]][position % self.block_size]

    def logits(self, state: int) -> Logits:
        return np.random.default_rng(state & 0xFFFFFFFF).standard_normal(self.vocabulary).astype(np.float32)

    def content(self, row: Row) -> list[int | None]:
        """The tokens that the row's past consists of, as they are in the blocks."""
        return [self.tokens[row.blocks[at // self.block_size]][at % self.block_size] for at in range(row.past)]

    def alone(self, prompt: Sequence[int], count: int, choose: Callable[[int, Logits], int] | None = None) -> list[int]:
        """What decoding gives for this prompt with nothing else around; `choose` gets position and logits."""
        pick = choose or (lambda position, logits: int(logits.argmax()))
        state, tokens = 0, []
        for token in prompt:
            state = hash((state, token))
        for position in range(count):
            tokens.append(pick(position, self.logits(state)))
            state = hash((state, tokens[-1]))
        return tokens

    def close(self) -> None:
        self.closed = True
