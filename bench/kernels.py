"""Our scheduler, sampler and loop over a compiled model, against driving the same compiled model bare.

Rule: both sides run the same shapes in turn, in one process, and the ratio of medians is the figure.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Loop, Output
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.core.generation import Sampling
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.load import BLOCK, Settings, load

BLOCKS = 512
PROMPT = 512
BESIDE = 4  # steps that one prompt takes beside an answer: a quarter of the budget each
GREEDY = Sampling(temperature=0.0)
DRAWN = Sampling(temperature=0.8, top_p=0.9, top_k=50, seed=7)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tokens per second of ours and of the bare graph, medians over the rounds."""

    name: str
    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        return self.ours / self.bare


class Bare:
    """The compiled graph driven step by step with arrays laid out beforehand, greedily, nothing else done."""

    def __init__(self, compiled: ov.CompiledModel, blocks: int) -> None:
        self._request = compiled.create_infer_request()
        for port in compiled.inputs:
            if "_cache." in (name := port.get_any_name()):
                shape = [blocks, *(size.get_length() for size in list(port.get_partial_shape())[1:])]
                self._request.set_tensor(name, ov.Tensor(port.get_element_type(), ov.Shape(shape)))

    def step(self, tokens: NDArray[np.int64], past: Sequence[int]) -> NDArray[np.int64]:
        """tokens [sequences, new], past per sequence -> the next token of each."""
        count, new = tokens.shape
        reach = max(past) + new
        table = -(-reach // BLOCK)
        every = np.arange(count, dtype=np.int32)
        feed = {
            "input_ids": tokens.reshape(-1),
            "position_ids": np.concatenate([np.arange(p, p + new) for p in past]),
            "past_lens": np.asarray(past, np.int32),
            "subsequence_begins": np.arange(count + 1, dtype=np.int32) * new,
            "block_indices": (every[:, None] * (BLOCKS // 8) + np.arange(table, dtype=np.int32)).reshape(-1),
            "block_indices_begins": np.arange(count + 1, dtype=np.int32) * table,
            "max_context_len": np.asarray(reach, np.int32),
            "sampled_tokens_indices": (np.arange(count) + 1) * new - 1,
        }
        for name, value in feed.items():
            self._request.set_tensor(name, ov.Tensor(value))
        self._request.infer()
        logits = self._request.get_output_tensor(0).data
        chosen: NDArray[np.int64] = logits.reshape(count, -1).argmax(axis=1)
        return chosen

    def prefill(self, batch: int) -> float:
        """Tokens per second over `batch` prompts, one per step."""
        prompt = np.arange(PROMPT, dtype=np.int64)[None] + 3
        began = time.perf_counter()
        for _ in range(batch):
            self.step(prompt, [0])
        return batch * PROMPT / (time.perf_counter() - began)

    def decode(self, batch: int, steps: int) -> float:
        """Tokens per second from a context of PROMPT tokens on."""
        tokens = np.full((batch, 1), 5, np.int64)
        began = time.perf_counter()
        for step in range(steps):
            tokens = self.step(tokens, [PROMPT + step] * batch)[:, None]
        return batch * steps / (time.perf_counter() - began)


class Ours:
    """Requests through a scheduler and a loop; times are taken where a server would get the outputs."""

    def __init__(self, runner: OpenVINORunner) -> None:
        self._runner = runner
        self._salt = 0

    def prefill(self, batch: int) -> float:
        """Tokens per second over `batch` prompts that only fill the cache."""
        began = time.perf_counter()
        times = self._run(batch, 0, GREEDY)
        return batch * PROMPT / (times[-1][0] - began)

    def decode(self, batch: int, steps: int, sampling: Sampling = GREEDY) -> float:
        """Tokens per second of the steps in which all sequences decode: they begin and end one after another, because
        prompts are computed a part at a time beside answers."""
        times = self._run(batch, steps + BESIDE * batch, sampling)
        spans = [(after[0] - before[0]) for before, after in pairwise(times) if before[1] == after[1] == batch]
        return batch * len(spans) / sum(spans)

    def _run(self, batch: int, max_tokens: int, sampling: Sampling) -> list[tuple[float, int]]:
        """When each step's outputs came, and how many new tokens they held; nothing of the prompts is cached."""
        self._salt += 1
        times: list[tuple[float, int]] = []
        scheduler = Scheduler(BlockPool(BLOCKS, BLOCK), PROMPT, 64, BLOCKS * BLOCK)
        loop = Loop(_Kept(self._runner), scheduler, lambda outputs: times.append((time.perf_counter(), _new(outputs))))
        for number in range(batch):
            prompt = tuple(range(3 + number, 3 + number + PROMPT))
            loop.submit(Request(str(number), prompt, max_tokens, salt=str(self._salt).encode()), sampling)
        loop.shutdown()
        loop.run()
        return times


class _Kept:
    """A runner that outlives the loop which closes it."""

    def __init__(self, runner: OpenVINORunner) -> None:
        self.step, self.copy_out, self.copy_in = runner.step, runner.copy_out, runner.copy_in
        self.block_size, self.blocks, self.vocabulary = runner.block_size, runner.blocks, runner.vocabulary
        self.horizon, self.local_blocks = runner.horizon, runner.local_blocks

    def close(self) -> None:
        pass


def _new(outputs: list[Output]) -> int:
    return sum(len(output.choices) for output in outputs)


def compare(directory: Path, cache_dir: Path, rounds: int = 5, steps: int = 48) -> list[Comparison]:
    """Prefill and decode at batch 1, 4 and 8, greedy; and sampled decode beside the greedy bare graph."""
    loaded = load(directory, Settings("int4", "u8", 0, 8192), cache_dir)
    bare, ours = Bare(loaded.compiled, BLOCKS), Ours(OpenVINORunner(loaded, BLOCKS, exact=False))
    rows: list[Comparison] = []
    for batch in (1, 4, 8):
        rows += _round(bare, ours, batch, rounds, steps)
    return rows


def _round(bare: Bare, ours: Ours, batch: int, rounds: int, steps: int) -> list[Comparison]:
    prefill, decode, drawn, bare_prefill, bare_decode = [], [], [], [], []
    for _ in range(rounds + 1):
        bare_prefill.append(bare.prefill(batch))
        bare_decode.append(bare.decode(batch, steps))
        prefill.append(ours.prefill(batch))
        decode.append(ours.decode(batch, steps))
        drawn.append(ours.decode(batch, steps, DRAWN))
    middle: Callable[[list[float]], float] = lambda values: statistics.median(values[1:])  # noqa: E731
    return [
        Comparison(f"prefill {PROMPT}, batch {batch}", middle(prefill), middle(bare_prefill)),
        Comparison(f"decode, batch {batch}, greedy", middle(decode), middle(bare_decode)),
        Comparison(f"decode, batch {batch}, sampled (bare: greedy)", middle(drawn), middle(bare_decode)),
    ]
