"""LoRA adapters against transformers with the same product merged into its weights, mixed in one batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haiga.core.ports import Adapter, Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.adapters import linear_layers, open_adapter
from haiga.models.sources import open_tensors
from tests.adapters import ALL, ATTENTION, make_adapter, merged
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

Array = np.ndarray[Any, np.dtype[np.float32]]
BASE = None
FAMILIES: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    "llama": ({}, ALL),
    "qwen2": ({}, ALL),
    "gemma3_text": (
        {"head_dim": 16, "sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"]},
        ALL,
    ),
    "phi3": ({}, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")),
    "qwen3_moe": (
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 16},
        ATTENTION,
    ),
    "olmo2": ({}, ALL),
}


def opened(base: Path, *directories: Path) -> list[Adapter]:
    layers = linear_layers(open_tensors(base))
    return [open_adapter(directory, layers) for directory in directories]


def adapted(adapters: Sequence[Adapter]) -> set[str]:
    return {layer for adapter in adapters for layer in adapter.ranks}


def prompt(at: int) -> list[int]:
    return random_tokens(40 + 17 * at, at)


def run(runner: OpenVINORunner, wanted: Sequence[Adapter | None], chunks: Sequence[int]) -> list[Array]:
    """Logits of every position of prompt(at) for each sequence at, in steps of so many tokens of each."""
    past, found = 0, [[] for _ in wanted]  # type: list[list[Array]]
    for count in chunks:
        pieces = [prompt(at)[past : past + count] for at in range(len(wanted))]
        rows = [
            Row(piece, past, range(4 * at, 4 * at + 4), len(piece), adapter=adapter)
            for at, (piece, adapter) in enumerate(zip(pieces, wanted, strict=True))
            if piece
        ]
        logits = runner.step(rows)
        ends = np.cumsum([row.sampled for row in rows])[:-1]
        own = [at for at, piece in enumerate(pieces) if piece]
        for at, part in zip(own, np.split(logits, ends), strict=True):
            found[at].append(part.copy())
        past += count
    return [np.concatenate(parts) for parts in found]


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_mixed_in_a_batch_give_the_logits_of_merged_weights(tmp_path: Path, family: str) -> None:
    config, targets = FAMILIES[family]
    base = make_checkpoint(tmp_path / "base", family, num_hidden_layers=2, **config)
    wide = make_adapter(tmp_path / "wide", base, targets, rank=6, seed=1)
    thin = make_adapter(tmp_path / "thin", base, targets[:2], rank=3, alpha=5, seed=2)
    first, second = opened(base, wide, thin)
    wanted = [first, None, second, first]
    models = [merged(base, wide), load_reference(base), merged(base, thin), merged(base, wide)]
    expected = [reference_logits(model, prompt(at)) for at, model in enumerate(models)]
    for exact in (True, False):
        runner = OpenVINORunner.load(base, "f32", "f32", 16, adapted=adapted([first, second]), exact=exact)
        for chunks in ([200], [7, 1, 30, 200]):
            actual = run(runner, wanted, chunks)
            for ours, theirs in zip(actual, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=3e-4)
        runner.close()
