"""One step of a batch on OpenVINO: the seam under the scheduler.

Rule: nothing is decided here. Rows come with their block tables; the runner lays them end to end, runs the compiled
graph and hands back the logits of the positions asked for.
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.ports import Row
from haiga.models.registry import build
from haiga.models.weights import Checkpoint, Packing

BLOCK = 32


class OpenVINORunner:
    """A compiled model and its pool of KV blocks."""

    def __init__(self, compiled: ov.CompiledModel, blocks: int) -> None:
        self._blocks = blocks
        self._request = compiled.create_infer_request()
        for port in compiled.inputs:
            name = port.get_any_name()
            if "cache" in name:
                shape = [blocks] + [dim.get_length() for dim in list(port.get_partial_shape())[1:]]
                self._request.set_tensor(name, ov.Tensor(port.get_element_type(), shape))
        self._vocabulary = compiled.output(0).get_partial_shape()[1].get_length()

    @classmethod
    def load(
        cls,
        directory: Path,
        weights: Packing = "int4",
        cache: str = "u8",
        blocks: int = 64,
        threads: int = 0,
        cache_dir: Path | None = None,
        context: int | None = None,
    ) -> "OpenVINORunner":
        """Build and compile the checkpoint in `directory`."""
        checkpoint = Checkpoint(directory)
        model = build(checkpoint, weights, context or checkpoint.config.integer("max_position_embeddings", 2048))
        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "KV_CACHE_PRECISION": cache,
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128" if weights in ("int8", "int4") else "0",
        }
        if threads:
            properties["INFERENCE_NUM_THREADS"] = str(threads)
        return cls(ov.Core().compile_model(model, "CPU", properties), blocks)

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
        """Logits [sum of sampled, vocabulary], rows in order; a view that the next step overwrites."""
        counts = [len(row.tokens) for row in rows]
        ends = list(accumulate(counts))
        tables = [row.blocks[: -(-(row.past + count) // BLOCK)] for row, count in zip(rows, counts, strict=True)]
        sampled = [at for row, end in zip(rows, ends, strict=True) for at in range(end - row.sampled, end)]
        positions = (range(row.past, row.past + count) for row, count in zip(rows, counts, strict=True))
        self._feed("input_ids", list(chain.from_iterable(row.tokens for row in rows)), np.int64)
        self._feed("position_ids", list(chain.from_iterable(positions)), np.int64)
        self._feed("past_lens", [row.past for row in rows], np.int32)
        self._feed("subsequence_begins", [0, *ends], np.int32)
        self._feed("block_indices", list(chain.from_iterable(tables)), np.int32)
        self._feed("block_indices_begins", [0, *accumulate(map(len, tables))], np.int32)
        longest = max(row.past + count for row, count in zip(rows, counts, strict=True))
        self._feed("max_context_len", longest, np.int32)
        self._feed("sampled_tokens_indices", sampled or [0], np.int64)
        self._request.infer()
        logits: NDArray[np.float32] = self._request.get_output_tensor(0).data
        return logits[: len(sampled)]

    def close(self) -> None:
        """Free the model and its pool."""
        del self._request

    def _feed(self, name: str, values: object, dtype: type) -> None:
        self._request.set_tensor(name, ov.Tensor(np.asarray(values, dtype)))
