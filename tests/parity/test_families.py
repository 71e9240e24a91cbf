"""Logits agree with transformers on tiny random checkpoints of every family."""

from pathlib import Path

import numpy as np
import pytest
import torch

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from tests.checkpoints import load_reference, make_checkpoint


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "smollm3"])
def test_prefill_and_continuation_agree_with_transformers(kind: str, tmp_path: Path) -> None:
    directory = make_checkpoint(tmp_path, kind)
    tokens = np.random.default_rng(0).integers(3, 300, 70).tolist()
    with torch.no_grad():
        expected = load_reference(directory)(torch.tensor([tokens])).logits[0].numpy()
    runner = OpenVINORunner.load(directory, "f32", "f32", blocks=16)
    first, second = list(range(8)), list(range(8, 16))
    logits = runner.step([Row(tokens[:50], 0, first, 1), Row(tokens[:20], 0, second, 20)])
    np.testing.assert_allclose(logits, expected[[49, *range(20)]], atol=1e-4)
    logits = runner.step([Row(tokens[50:], 50, first, 1), Row(tokens[20:21], 20, second, 1)])
    np.testing.assert_allclose(logits, expected[[69, 20]], atol=1e-4)
