"""A text model exported elsewhere as a stateful OpenVINO IR runs like the checkpoint it was made from."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from openvino._offline_transformations import apply_make_stateful_transformation
from transformers import AutoModelForCausalLM
from transformers.cache_utils import DynamicCache, DynamicLayer

from haiga.core.errors import Invalid
from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.description import describe
from tests.checkpoints import TINY, load_reference, make_checkpoint, random_tokens, reference_logits

LAYERS, HEADS, SIZE = TINY["num_hidden_layers"], TINY["num_key_value_heads"], 16
PAST = [f"past_key_values.{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]
INPUTS = ["input_ids", "attention_mask", "position_ids", "beam_idx", *PAST]
OUTPUTS = ["logits", *(name.replace("past_key_values", "present") for name in PAST)]


class WithPast(torch.nn.Module):
    """The model with its keys and values as inputs and outputs, as exporters trace it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Any, mask: Any, positions: Any, beams: Any, *past: Any) -> tuple[Any, ...]:
        cache = DynamicCache()
        cache.layers = [DynamicLayer() for _ in range(LAYERS)]
        for layer, keys, values in zip(cache.layers, past[::2], past[1::2], strict=True):
            layer.keys, layer.values = keys.index_select(0, beams), values.index_select(0, beams)
            layer.is_initialized, layer.dtype, layer.device = True, keys.dtype, keys.device
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache)
        return (out.logits, *(each for layer in out.past_key_values.layers for each in (layer.keys, layer.values)))


def export(checkpoint: Path, directory: Path, stateful: bool) -> Path:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="sdpa").eval()
    past = [torch.zeros(1, HEADS, 3, SIZE)] * len(PAST)
    example = (torch.ones(1, 4).long(), torch.ones(1, 7).long(), torch.arange(3, 7)[None], torch.zeros(1).int(), *past)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = ov.convert_model(WithPast(model), example_input=example)
    for port, name in zip([*exported.inputs, *exported.outputs], [*INPUTS, *OUTPUTS], strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(exported.inputs, INPUTS, strict=True):
        shape = [-1] if name == "beam_idx" else [-1, HEADS, -1, SIZE] if name in PAST else [-1, -1]
        port.get_node().set_friendly_name(name)
        port.get_node().set_partial_shape(ov.PartialShape(shape))
    exported.validate_nodes_and_infer_types()
    if stateful:
        apply_make_stateful_transformation(exported, dict(zip(PAST, OUTPUTS[1:], strict=True)))
    directory.mkdir()
    ov.save_model(exported, directory / "openvino_model.xml", compress_to_fp16=False)
    (directory / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    return directory


def test_an_exported_ir_agrees_with_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint")
    directory = export(checkpoint, tmp_path / "ir", stateful=True)
    runner = OpenVINORunner.load(directory, "f32", "f32", blocks=16)
    tokens, first, second = random_tokens(70), list(range(8)), list(range(8, 16))
    expected = reference_logits(load_reference(checkpoint), tokens)
    logits = runner.step([Row(tokens[:50], 0, first, 50), Row(tokens[:20], 0, second, 1)])
    np.testing.assert_allclose(logits, expected[[*range(50), 19]], atol=1e-4)
    logits = runner.step([Row(tokens[50:], 50, first, 20), Row(tokens[20:21], 20, second, 1)])
    np.testing.assert_allclose(logits, expected[[*range(50, 70), 20]], atol=1e-4)
    assert (directory / "openvino_model.bin").stat().st_size == describe(directory).weight_bytes("int4")
    runner.close()


def test_an_ir_that_keeps_no_state_is_refused_by_name(tmp_path: Path) -> None:
    directory = export(make_checkpoint(tmp_path / "checkpoint"), tmp_path / "ir", stateful=False)
    with pytest.raises(Invalid, match=r"openvino_model\.xml: cannot be made into a paged model"):
        OpenVINORunner.load(directory)


def test_a_damaged_ir_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").write_text("<net")
    with pytest.raises(Invalid, match=r"openvino_model\.xml: cannot be"):
        OpenVINORunner.load(tmp_path)
