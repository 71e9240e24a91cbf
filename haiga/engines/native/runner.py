"""One step of a batch on OpenVINO: the seam under the scheduler.

Rule: nothing is decided here. Rows come with their block tables; the runner lays them end to end, runs the compiled
graph and hands back the logits of the positions asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.errors import Failed, Invalid
from haiga.core.ports import Row
from haiga.models.load import BLOCK, CacheType, Loaded, Settings, load
from haiga.models.plugin import explain
from haiga.models.weights import Packing


@dataclass(frozen=True, slots=True)
class Layout:
    """A step's rows as the graph reads them. S sequences, T tokens; begins and block_begins have S + 1 entries,
    tables are laid end to end in `blocks`, sampled are indices into T."""

    ids: Sequence[int]
    positions: Sequence[int]
    past: Sequence[int]
    begins: Sequence[int]
    blocks: Sequence[int]
    block_begins: Sequence[int]
    longest: int
    sampled: Sequence[int]


class OpenVINORunner:
    """A compiled model and its pool of KV blocks.

    exact: logits depend on the sequence alone, to the last bit: not on what else is in the step, on how a prompt is
    chunked, or on which of its blocks were reused. Every token is then run as a sequence of its own, because the
    attention kernel for one new token rounds otherwise than the one for several, and there are always at least as
    many as threads, because with fewer the kernel splits a sequence among threads. Short prompts cost nothing more,
    attention over 16,000 tokens costs twice as much.
    """

    def __init__(self, loaded: Loaded, blocks: int, exact: bool) -> None:
        self._loaded, self._blocks = loaded, blocks
        compiled = loaded.compiled
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._filler = Row([0], 0, [blocks], 0)  # its keys and values go to a block that nobody else has
        self._least = max(threads, 2) if exact else 0
        self._exact = exact
        self._request = compiled.create_infer_request()
        self._allocate(compiled, blocks + exact)
        self._vocabulary = int(compiled.output(0).get_partial_shape()[-1].get_length())

    @classmethod
    def load(
        cls,
        directory: Path,
        weights: Packing = "int4",
        cache: CacheType = "u8",
        blocks: int = 64,
        threads: int = 0,
        cache_dir: Path | None = None,
        context: int = 0,
        exact: bool | None = None,
    ) -> "OpenVINORunner":
        """Load a checkpoint or IR directory and run one token, so that the first request meets no preparation.

        blocks: the pool, in blocks of 32 tokens; context: tokens that the rope is computed for, 0 for the model's own;
        exact: None for "when weights and cache are both f32". Raises Invalid naming the file, field or tensor.
        """
        if blocks < 1:
            raise Invalid(f"blocks: {blocks} is less than 1")
        loaded = load(directory, Settings(weights, cache, threads, context), cache_dir)
        runner = cls(loaded, blocks, weights == cache == "f32" if exact is None else exact)
        runner.step([Row([0], 0, [0], 1)])  # the plugin lays out its weights at the first step
        if loaded.weights is not None:
            loaded.weights.release()
        return runner

    @property
    def block_size(self) -> int:
        """Tokens per KV block."""
        return BLOCK

    @property
    def blocks(self) -> int:
        """How many blocks the pool has."""
        return self._blocks

    @property
    def vocabulary(self) -> int:
        """Width of the logits."""
        return self._vocabulary

    def step(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Logits [sum of sampled, vocabulary], rows in order; a view that the next step overwrites.

        Raises Failed when the plugin refuses the step.
        """
        if self._exact:
            rows = [single for row in rows for single in _singles(row)]
            rows += [self._filler] * (self._least - len(rows))
        layout = lay_out(rows)
        self._feed("input_ids", layout.ids, np.int64)
        self._feed("position_ids", layout.positions, np.int64)
        self._feed("past_lens", layout.past, np.int32)
        self._feed("subsequence_begins", layout.begins, np.int32)
        self._feed("block_indices", layout.blocks, np.int32)
        self._feed("block_indices_begins", layout.block_begins, np.int32)
        self._feed("max_context_len", layout.longest, np.int32)
        self._feed("sampled_tokens_indices", layout.sampled, np.int64)
        try:
            self._request.infer()
        except RuntimeError as problem:
            raise Failed(f"the step failed: {explain(problem)}") from problem
        logits: NDArray[np.float32] = self._request.get_output_tensor(0).data
        return logits.reshape(-1, self._vocabulary)

    def close(self) -> None:
        """Free the model and its pool."""
        del self._request, self._loaded

    def _allocate(self, compiled: ov.CompiledModel, blocks: int) -> None:
        """Give every layer its cache in the precision and layout that the plugin reports."""
        for port in compiled.inputs:
            if "_cache." in (name := port.get_any_name()):
                shape = [blocks, *(size.get_length() for size in list(port.get_partial_shape())[1:])]
                self._request.set_tensor(name, ov.Tensor(port.get_element_type(), ov.Shape(shape)))

    def _feed(self, name: str, values: Sequence[int] | int, dtype: type) -> None:
        self._request.set_tensor(name, ov.Tensor(np.asarray(values, dtype)))


def lay_out(rows: Sequence[Row]) -> Layout:
    """Rows end to end; a table is cut to the blocks that its row reaches."""
    ends = list(accumulate(len(row.tokens) for row in rows))
    reached = [row.past + len(row.tokens) for row in rows]
    tables = [row.blocks[: -(-end // BLOCK)] for row, end in zip(rows, reached, strict=True)]
    return Layout(
        ids=list(chain.from_iterable(row.tokens for row in rows)),
        positions=list(chain.from_iterable(range(row.past, end) for row, end in zip(rows, reached, strict=True))),
        past=[row.past for row in rows],
        begins=[0, *ends],
        blocks=list(chain.from_iterable(tables)),
        block_begins=[0, *accumulate(map(len, tables))],
        longest=max(reached),
        sampled=list(chain.from_iterable(range(end - row.sampled, end) for row, end in zip(rows, ends, strict=True))),
    )


def _singles(row: Row) -> list[Row]:
    """The row as one-token rows. They may run in one step: the op writes all keys before it reads any."""
    first = len(row.tokens) - row.sampled
    return [Row(row.tokens[at : at + 1], row.past + at, row.blocks, int(at >= first)) for at in range(len(row.tokens))]
