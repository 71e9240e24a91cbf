"""Long conversations on a 1B shape: how fast prompts are read at which depth, and the first token of a second turn from
memory, from files, and computed again.

Rule: what depends on the depth alone is measured at that depth, over keys and values of other tokens: a step takes as
long over any. What is added up from such steps says so.
"""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Loop, Output
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.core.generation import Sampling
from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.engines.native.tier import Shelf, Tier
from haiga.models.load import BLOCK, CacheType

BUDGET = 512
DEPTHS = (8_000, 32_000, 100_000, 200_000)
DEEP = 50_000
TURN = 64  # tokens of the second turn
SPARE = 2048  # tokens of room behind the longest text
ROOM = 1 << 30
GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True)
class Depth:
    """At a depth of `tokens`: tokens/s of a prefill step, seconds of a decode step, and seconds for a prompt of this
    length, added up from the steps measured on the way."""

    tokens: int
    speed: float
    decode: float
    prompt: float


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds to the first token of a second turn over `tokens`: with the first in memory, in files that the system
    holds in memory, in files that it does not, and computed again (added up). size: bytes of the files."""

    tokens: int
    memory: float
    files: float
    disk: float
    again: float
    size: int


class Bench:
    """A compiled model, with a pool for `tokens` and files for as many under `folder`."""

    def __init__(self, checkpoint: Path, cache_dir: Path, folder: Path, tokens: int, cache: CacheType) -> None:
        self.tokens, self._folder = tokens // BLOCK * BLOCK, folder
        self._blocks = (self.tokens + SPARE) // BLOCK
        self.runner = OpenVINORunner.load(
            checkpoint, "int4", cache, blocks=self._blocks, cache_dir=cache_dir, context=tokens + SPARE
        )
        self._fill()

    def _fill(self) -> None:
        """Every block holds the keys and values of the same 32 tokens."""
        self.runner.step([Row(range(3, 3 + BLOCK), 0, [0], 0)])
        content = self.runner.copy_out(0, False)
        for block in range(self._blocks):
            self.runner.copy_in(block, False, content)

    def depths(self, depths: Sequence[int], rounds: int) -> list[Depth]:
        """Steps at 0 and at each depth."""
        self._step(0, BUDGET, 1)  # the first one prepares
        prefill = [self._step(past, BUDGET, rounds) for past in (0, *depths)]
        decode = [self._step(past, 1, rounds) for past in depths]
        whole, points = 0.0, list[Depth]()
        for (before, after), (early, late), one in zip(pairwise((0, *depths)), pairwise(prefill), decode, strict=True):
            whole += (after - before) / BUDGET * (early + late) / 2  # attention grows evenly with the depth
            points.append(Depth(after, BUDGET / late, one, whole))
        return points

    def _step(self, past: int, tokens: int, rounds: int) -> float:
        """Seconds of a step, the median."""
        row = Row([5] * tokens, past, range(-(-(past + tokens) // BLOCK)), 1)
        times = []
        for _ in range(rounds if past < DEEP else 1):
            began = time.perf_counter()
            self.runner.step([row])
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    def turns(self, again: float, rounds: int) -> Turns:
        """A first turn whose tokens pass without being computed, then second turns, each with words of its own."""
        shelf = Shelf(self._folder / "kv", {"model": "bench"}, (self.runner.block_bytes(False), 0), 1 << 60)
        text = (np.arange(self.tokens) % 30_000 + 3).tolist()
        pool = BlockPool(self._blocks, BLOCK)
        self._answer(pool, text, None, passing=True)
        for address, block in pool.worth_keeping():
            shelf.write(address, False, self.runner.copy_out(block, False), time.time())
        memory, files, disk = list[float](), list[float](), list[float]()
        for number in range(rounds):
            turn = [*text, *range(3 + number, 3 + number + TURN)]
            memory.append(self._answer(pool, turn, None))
            files.append(self._answer(BlockPool(self._blocks, BLOCK), turn, shelf))
            _forget_pages(self._folder / "kv")
            disk.append(self._answer(BlockPool(self._blocks, BLOCK), turn, shelf))
        size = shelf.total
        shelf.clear()
        median = statistics.median
        return Turns(self.tokens, median(memory), median(files), median(disk), again, size)

    def _answer(self, pool: BlockPool, prompt: Sequence[int], shelf: Shelf | None, passing: bool = False) -> float:
        """Seconds from a request to its first token."""
        tier = Tier(shelf, self.runner.block_bytes(False), ROOM) if shelf else None
        scheduler = Scheduler(pool, BUDGET, 4, self.tokens + SPARE, cold=tier)
        outputs: list[tuple[float, Output]] = []
        loop = Loop(_Kept(self.runner, passing), scheduler, lambda told: outputs.extend(map(_timed, told)), cold=tier)
        if tier:
            tier.start(loop)
        loop.submit(Request("", tuple(prompt), 1), GREEDY)
        loop.shutdown()
        began = time.perf_counter()
        loop.run()
        ended, last = outputs[-1]
        assert last.stop, last.error
        return ended - began

    def close(self) -> None:
        self.runner.close()


class _Kept:
    """A runner that outlives the loop which closes it; `passing` lets tokens pass without computing them."""

    def __init__(self, runner: OpenVINORunner, passing: bool) -> None:
        self._runner, self._passing = runner, passing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def step(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        if self._passing:
            return np.zeros((sum(row.sampled for row in rows), self._runner.vocabulary), np.float32)
        return self._runner.step(rows)

    def close(self) -> None:
        pass


def _timed(output: Output) -> tuple[float, Output]:
    return time.perf_counter(), output


def _forget_pages(folder: Path) -> None:
    """Have the system write what it holds of the files, and forget it."""
    for file in folder.rglob("*.kv"):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def run(
    checkpoint: Path, cache_dir: Path, folder: Path, tokens: int, rounds: int, cache: CacheType = "u8"
) -> tuple[list[Depth], Turns]:
    """rounds: of second turns, and of steps at depths below 50,000; further down a step takes minutes, and one is
    enough."""
    bench = Bench(checkpoint, cache_dir, folder, tokens, cache)
    try:
        depths = bench.depths(sorted({depth for depth in (*DEPTHS, tokens) if depth <= tokens}), rounds)
        return depths, bench.turns(depths[-1].prompt, rounds)
    finally:
        bench.close()
