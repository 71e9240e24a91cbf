"""What coarser keys and values cost, measured against exact ones: on random weights, which hide nothing, and on trained
ones, which is what people run."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.engines.native.texts import load_tokenizer
from haiga.models.weights import Packing
from haiga.starter import text_path
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

Logits = NDArray[np.float32]
CHUNK = 50
BF16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def run(directory: Path, tokens: list[int], weights: Packing, cache: Any) -> Logits:
    """The logits of every position, prefilled in chunks that end within blocks."""
    blocks = -(-len(tokens) // 32)
    runner = OpenVINORunner.load(directory, weights, cache, blocks=blocks)
    logits = []
    for at in range(0, len(tokens), CHUNK):
        part = tokens[at : at + CHUNK]
        logits.append(runner.step([Row(part, at, range(blocks), len(part))]).copy())
    runner.close()
    return np.concatenate(logits)


@pytest.fixture(scope="module")
def tokens() -> list[int]:
    text = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text()[:4000]
    return load_tokenizer(text_path()).encode(text)[:600]


@pytest.fixture(scope="module")
def exact(tokens: list[int]) -> Logits:
    return run(text_path(), tokens, "f32", "f32")


@pytest.mark.parametrize(("cache", "bound"), [("f32", 1e-5), ("u8", 0.05), ("u4", 0.6)])
@pytest.mark.parametrize("size", [32, 128])
def test_on_random_weights_the_error_is_a_bounded_part_of_the_logits_spread(
    tmp_path: Path, size: int, cache: str, bound: float
) -> None:
    directory, tokens = make_checkpoint(tmp_path, head_dim=size), random_tokens(180)
    expected = reference_logits(load_reference(directory), tokens)
    assert bound > (run(directory, tokens, "f32", cache) - expected).std() / expected.std()


@pytest.mark.parametrize(("cache", "same", "lost"), [("u8", 0.98, 0.001), ("u4", 0.9, 0.02)])
def test_a_trained_model_mostly_says_the_same(
    tokens: list[int], exact: Logits, cache: str, same: float, lost: float
) -> None:
    """same: the part of positions with the same likeliest token; lost: mean divergence from the exact distribution."""
    coarse = run(text_path(), tokens, "f32", cache)
    assert same <= (coarse.argmax(1) == exact.argmax(1)).mean()
    told, meant = log_softmax(coarse), log_softmax(exact)
    assert lost > (np.exp(meant) * (meant - told)).sum(1).mean()


@pytest.mark.skipif(not BF16, reason="this processor has no bf16 arithmetic")
def test_bf16_keys_and_values_go_with_bf16_arithmetic(tokens: list[int], exact: Logits) -> None:
    coarse = run(text_path(), tokens, "bf16", "bf16")
    assert 0.9 <= (coarse.argmax(1) == exact.argmax(1)).mean()


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    told: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return told
