"""Mixtures stay exact in f32, and a decoder is found inside a model that sees pictures too."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.description import describe
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

TOKENS = random_tokens(100)
MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LLAMA4 = {"num_local_experts": 4, "attention_chunk_size": 32, "num_hidden_layers": 4, "intermediate_size_mlp": 96}


@pytest.mark.parametrize(("kind", "config"), [("qwen3_moe", MOE), ("llama4_text", {**LLAMA4, "head_dim": 16})])
def test_f32_logits_of_a_mixture_depend_on_the_sequence_alone(tmp_path: Path, kind: str, config: Any) -> None:
    runner = OpenVINORunner.load(make_checkpoint(tmp_path, kind, **config), "f32", "f32", blocks=24)
    whole = runner.step([Row(TOKENS, 0, range(4), len(TOKENS))]).copy()
    others = [Row(random_tokens(9 + at, at), 0, [10 + at], 0) for at in range(5)]
    past, pieces = 0, []
    for count in (1, 40, 2, 57):
        rows = [*others[:2], Row(TOKENS[past : past + count], past, range(4), count), *others[2:]]
        pieces.append(runner.step(rows).copy())
        past += count
    runner.close()
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize(
    ("kind", "config", "architecture"),
    [
        ("gemma3_text", {"head_dim": 16}, "Gemma3ForConditionalGeneration"),
        ("llama4_text", {**LLAMA4, "head_dim": 16}, "Llama4ForConditionalGeneration"),
    ],
)
def test_the_decoder_of_a_model_that_sees_is_read_alone(
    tmp_path: Path, kind: str, config: dict[str, Any], architecture: str
) -> None:
    directory = make_checkpoint(tmp_path, kind, **config)
    expected, plain = reference_logits(load_reference(directory), TOKENS), describe(directory)
    inner = json.loads((directory / "config.json").read_text())
    outer = {"architectures": [architecture], "text_config": inner, "vision_config": {"hidden_size": 7}}
    (directory / "config.json").write_text(json.dumps(outer))
    file = directory / "model.safetensors"
    weights = {f"language_model.{name}": values for name, values in load_file(file).items()}
    save_file({**weights, "vision_tower.encoder.weight": np.zeros((8, 8), np.float32)}, file)
    assert plain.parameters == describe(directory).parameters
    runner = OpenVINORunner.load(directory, "f32", "f32", blocks=4)
    logits = runner.step([Row(TOKENS, 0, range(4), len(TOKENS))]).copy()
    runner.close()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
