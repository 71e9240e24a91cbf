"""A hundred adapters over one base, eight of them in a batch, against the base alone.

Rule: both run the same steps in turn, in one process, with the base's graph without a place for adapters; the figure is
the ratio of their medians. Every adapter changes every layer's seven products.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from haiga.core.ports import Adapter, Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.adapters import Linear, linear_layers, open_adapter
from haiga.models.load import BLOCK
from haiga.models.sources import open_tensors

REGISTERED, BATCH, RANK = 100, 8, 8
PROMPT, STEPS = 64, 32
Rows = Callable[[int], list[Row]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tokens per second of the base alone, and with adapters."""

    name: str
    base: float
    adapted: float

    @property
    def share(self) -> float:
        return self.adapted / self.base


def compare(directory: Path, folder: Path, rounds: int = 5) -> list[Comparison]:
    """Prefill, decode, and answers of STEPS tokens to prompts of PROMPT, each of BATCH sequences; of the adapters every
    round has others."""
    adapters = _register(directory, folder / "adapters")
    base = OpenVINORunner.load(directory, "int4", "u8", 256, cache_dir=folder / "cache")
    adapted = OpenVINORunner.load(
        directory, "int4", "u8", 256, cache_dir=folder / "cache", adapted=adapters[0].ranks.keys(), slots=BATCH
    )
    work = {"prompts": (_prefill,), "answers": (_decode,), "both": (_prefill, _decode)}
    return [_compare(name, parts, base, adapted, adapters, rounds) for name, parts in work.items()]


def _compare(
    name: str,
    parts: Sequence[Callable[[OpenVINORunner, Sequence[Adapter | None], int], int]],
    base: OpenVINORunner,
    adapted: OpenVINORunner,
    adapters: Sequence[Adapter],
    rounds: int,
) -> Comparison:
    speeds: list[tuple[float, float]] = []
    for round in range(rounds + 1):
        own = [adapters[(BATCH * round + at) % len(adapters)] for at in range(BATCH)]
        speeds.append((_timed(parts, base, [None] * BATCH, round), _timed(parts, adapted, own, round)))
    return Comparison(name, *(statistics.median(values) for values in zip(*speeds[1:], strict=True)))


def _timed(
    parts: Sequence[Callable[[OpenVINORunner, Sequence[Adapter | None], int], int]],
    runner: OpenVINORunner,
    adapters: Sequence[Adapter | None],
    seed: int,
) -> float:
    began = time.perf_counter()
    tokens = sum(part(runner, adapters, seed) for part in parts)
    return tokens / (time.perf_counter() - began)


def _prefill(runner: OpenVINORunner, adapters: Sequence[Adapter | None], seed: int) -> int:
    tokens = _tokens(PROMPT * BATCH, seed)
    runner.step(
        [
            Row(tokens[PROMPT * at : PROMPT * (at + 1)], 0, _table(at), 1, adapter=adapter)
            for at, adapter in enumerate(adapters)
        ]
    )
    return PROMPT * BATCH


def _decode(runner: OpenVINORunner, adapters: Sequence[Adapter | None], seed: int) -> int:
    tokens = _tokens(STEPS * BATCH, seed)
    for step in range(STEPS):
        runner.step(
            [
                Row([tokens[step * BATCH + at]], PROMPT + step, _table(at), 1, adapter=adapter)
                for at, adapter in enumerate(adapters)
            ]
        )
    return STEPS * BATCH


def _table(at: int) -> range:
    blocks = -(-(PROMPT + STEPS) // BLOCK)
    return range(at * blocks, (at + 1) * blocks)


def _tokens(count: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(3, 250, count).tolist()  # type: ignore[no-any-return]


def _register(directory: Path, folder: Path) -> list[Adapter]:
    layers = linear_layers(open_tensors(directory))
    return [open_adapter(_write(folder / str(number), layers, number), layers) for number in range(REGISTERED)]


def _write(directory: Path, layers: dict[str, Linear], seed: int) -> Path:
    """An adapter of random factors in f16, unless it is there already."""
    if (directory / "adapter_config.json").exists():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    noise = (np.random.default_rng(seed).standard_normal(1 << 20) * 0.01).astype(np.float16)
    tensors = {}
    for name, layer in layers.items():
        for part, shape in (("A", (RANK, layer.inner)), ("B", (layer.outer, RANK))):
            tensors[f"base_model.model.{name}.lora_{part}.weight"] = np.resize(noise, shape)
    save_file(tensors, directory / "adapter_model.safetensors")
    targets = sorted({name.rpartition(".")[2] for name in layers})
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 16, "target_modules": targets}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory
