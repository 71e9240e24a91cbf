"""A mixture of 64 experts against one of 8, of each of which a token has as many: the work is the same.

Rule: both run the same steps in turn, in one process; the figure is the ratio of their medians.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import shapes
from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.load import BLOCK

FEW, MANY = 8, 64
PROMPT, STEPS = 512, 32


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tokens per second with few experts and with many."""

    name: str
    few: float
    many: float

    @property
    def slower(self) -> float:
        return self.few / self.many


def compare(folder: Path, rounds: int = 5) -> list[Comparison]:
    """Prefill of one prompt, and decode at batch 1 and 8."""
    few, many = (_load(count, folder) for count in (FEW, MANY))
    work: dict[str, Callable[[OpenVINORunner, int], float]] = {
        f"prefill {PROMPT}": _prefill,
        "decode, batch 1": lambda runner, seed: _decode(runner, 1, seed),
        "decode, batch 8": lambda runner, seed: _decode(runner, 8, seed),
    }
    return [Comparison(name, *_medians(run, few, many, rounds)) for name, run in work.items()]


def _load(count: int, folder: Path) -> OpenVINORunner:
    directory = shapes.write(shapes.Mixture(num_experts=count), folder / f"experts-{count}")
    return OpenVINORunner.load(directory, "int4", "u8", 256, cache_dir=folder / "cache")


def _medians(
    run: Callable[[OpenVINORunner, int], float], few: OpenVINORunner, many: OpenVINORunner, rounds: int
) -> list[float]:
    found = [(run(few, seed), run(many, seed)) for seed in range(rounds + 1)]
    return [statistics.median(values) for values in zip(*found[1:], strict=True)]  # the first round warms up


def _tokens(count: int, seed: int) -> Sequence[int]:
    return np.random.default_rng(seed).integers(3, 8000, count).tolist()  # type: ignore[no-any-return]


def _prefill(runner: OpenVINORunner, seed: int) -> float:
    row = Row(_tokens(PROMPT, seed), 0, range(PROMPT // BLOCK), 1)
    began = time.perf_counter()
    runner.step([row])
    return PROMPT / (time.perf_counter() - began)


def _decode(runner: OpenVINORunner, batch: int, seed: int) -> float:
    tokens = _tokens(STEPS * batch, seed)
    tables = [range(2 * at, 2 * at + 2) for at in range(batch)]
    began = time.perf_counter()
    for step in range(STEPS):
        runner.step([Row([tokens[step * batch + at]], step, tables[at], 1) for at in range(batch)])
    return STEPS * batch / (time.perf_counter() - began)
