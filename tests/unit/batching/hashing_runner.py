"""A Runner without a model: its keys and values are hashes.

What it keeps for a token is a hash of that token and of what is kept for the token before it, read back from the
block table, just as real keys and values depend on all that came before. The logits follow from the last hash, so a
block reused for the wrong content, or written while somebody else reads it, changes every later token. With a horizon
they follow from the hashes of all tokens in sight, read back from the local table.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from haiga.core.ports import Horizon, Row

Logits = NDArray[np.float32]


class HashingRunner:
    def __init__(
        self,
        blocks: int = 16,
        block_size: int = 4,
        vocabulary: int = 50,
        horizon: Horizon | None = None,
        local_blocks: int = 0,
    ) -> None:
        self.blocks = blocks
        self.horizon, self.local_blocks = horizon, local_blocks
        self._near: list[list[int]] = [[0] * block_size for _ in range(local_blocks)]
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
        if self.horizon:
            states = [self._seen(row, row.past + offset, state) for offset, state in enumerate(states)]
        return [self.logits(state) for state in states[len(states) - row.sampled :]]

    def _seen(self, row: Row, position: int, state: int) -> int:
        """Keep `state` for the token at `position`, and read what it sees."""
        assert self.horizon and row.local is not None
        block, slot = divmod(position, self.block_size)
        if slot == 0:
            self._near[row.local[block - row.skipped]] = [-1] * self.block_size
        self._near[row.local[block - row.skipped]][slot] = state
        spots = [divmod(at, self.block_size) for at in range(self.horizon.first(position), position + 1)]
        assert all(block >= row.skipped for block, _ in spots), "a block in sight was given back"
        return hash(tuple(self._near[row.local[block - row.skipped]][slot] for block, slot in spots))

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

    def copy_out(self, block: int, local: bool) -> NDArray[np.uint8]:
        kept = self._near[block] if local else [*self.tokens[block], *self._kept[block]]
        return np.array(kept, np.int64).view(np.uint8)

    def copy_in(self, block: int, local: bool, content: NDArray[np.uint8]) -> None:
        kept = content.view(np.int64).tolist()
        if local:
            self._near[block] = kept
        else:
            self.tokens[block], self._kept[block] = kept[: self.block_size], kept[self.block_size :]

    def content(self, row: Row) -> list[int | None]:
        """The tokens that the row's past consists of, as they are in the blocks."""
        return [self.tokens[row.blocks[at // self.block_size]][at % self.block_size] for at in range(row.past)]

    def alone(self, prompt: Sequence[int], count: int, choose: Callable[[int, Logits], int] | None = None) -> list[int]:
        """What decoding gives for this prompt with nothing else around; `choose` gets position and logits."""
        pick = choose or (lambda position, logits: int(logits.argmax()))
        states, tokens = [0], []
        for token in prompt:
            states.append(hash((states[-1], token)))
        for position in range(count):
            tokens.append(pick(position, self.logits(self._last(states[1:]))))
            states.append(hash((states[-1], tokens[-1])))
        return tokens

    def _last(self, states: list[int]) -> int:
        if not self.horizon:
            return states[-1]
        return hash(tuple(states[self.horizon.first(len(states) - 1) :]))

    def close(self) -> None:
        self.closed = True
