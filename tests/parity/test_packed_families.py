"""Packed weights of the families beside Llama: logits agree with transformers on what the packing makes of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from safetensors.numpy import load_file, save_file

from haiga.core.errors import Invalid
from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.description import describe
from haiga.models.load import Loaded
from haiga.models.registry import build, read_decoder
from haiga.models.weights import Checkpoint, Heap, Packing, Weights, dequantize, pack_int4, pack_int8
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

EXACT = {"KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
TOKENS = random_tokens(80)
UNPACKED = re.compile(r".*(norm|router|mlp\.gate|block_sparse_moe\.gate|shared_expert_gate)\.weight|.*sinks|.*bias")
TABLES = ("embed_tokens.weight", "lm_head.weight")
OSS = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 32}
CASES: dict[str, dict[str, Any]] = {
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 32},
    "mixtral": {"num_local_experts": 4},
    "phi3": {},
    "gpt_oss": OSS,
    "llama4_text": {"num_local_experts": 4, "head_dim": 32, "intermediate_size_mlp": 64, "attention_chunk_size": 32},
}


def logits(directory: Path, packing: Packing) -> Any:
    """Of every position, activations and cache in f32."""
    weights = Weights(Checkpoint(directory), packing, Heap())
    horizon = read_decoder(weights.checkpoint.config, 0).horizon
    loaded = Loaded(ov.Core().compile_model(build(weights, 0), "CPU", EXACT), weights, horizon)
    runner = OpenVINORunner(loaded, 4, exact=False)
    return runner.step([Row(TOKENS, 0, list(range(3)), len(TOKENS))]).copy()


def packed(name: str, values: Any, packing: Packing) -> Any:
    """What the packing makes of a tensor; experts that lie in one are packed one by one, output by input."""
    if UNPACKED.fullmatch(name) or values.ndim < 2:
        return values
    if values.ndim == 3:
        turned = [packed(name, np.ascontiguousarray(each.T), packing).T for each in values]
        return np.ascontiguousarray(np.stack(turned))
    return dequantize((pack_int8 if packing == "int8" or name.endswith(TABLES) else pack_int4)(values))


@pytest.mark.parametrize("packing", ["int8", "int4"])
@pytest.mark.parametrize(("kind", "config"), CASES.items(), ids=CASES.keys())
def test_packed_weights_multiply_like_their_dequantised_selves(
    tmp_path: Path, kind: str, config: dict[str, Any], packing: Packing
) -> None:
    directory = make_checkpoint(tmp_path, kind, **config)
    found = logits(directory, packing)
    file = directory / "model.safetensors"
    weights = load_file(file)
    save_file({name: packed(name, values, packing) for name, values in weights.items()}, file, {"format": "pt"})
    np.testing.assert_allclose(found, reference_logits(load_reference(directory), TOKENS), atol=1e-3)


NUMBERS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def write_mxfp4(directory: Path) -> Path:
    """GPT-OSS's own form beside `directory`, its experts random; those of `directory` become what they mean."""
    random = np.random.default_rng(0)
    file, packed = directory / "model.safetensors", directory.parent / "packed"
    plain, kept = load_file(file), load_file(file)
    for name in [name for name in plain if re.search(r"experts\.\w+_proj$", name)]:
        count, inner, outer = plain[name].shape
        blocks = random.integers(0, 256, (count, outer, inner // 32, 16), np.uint8)
        scales = random.integers(122, 125, (count, outer, inner // 32), np.uint8)
        numbers = np.stack([NUMBERS[blocks & 15], NUMBERS[blocks >> 4]], -1).reshape(count, outer, inner // 32, 32)
        meant = (numbers * np.exp2(scales.astype(np.float32) - 127)[..., None]).reshape(count, outer, inner)
        plain[name] = np.ascontiguousarray(meant.swapaxes(1, 2))
        del kept[name]
        kept |= {name + "_blocks": blocks, name + "_scales": scales}
    packed.mkdir()
    config = (directory / "config.json").read_text().rstrip()
    (packed / "config.json").write_text(config[:-1] + ', "quantization_config": {"quant_method": "mxfp4"}}')
    save_file(plain, file, {"format": "pt"})
    save_file(kept, packed / "model.safetensors", {"format": "pt"})
    return packed


def test_mxfp4_is_kept_as_it_is(tmp_path: Path) -> None:
    plain = make_checkpoint(tmp_path / "plain", "gpt_oss", **OSS)
    packed = write_mxfp4(plain)
    assert describe(packed).quantized
    assert describe(packed).parameters == describe(plain).parameters
    np.testing.assert_allclose(
        logits(packed, "kept"), reference_logits(load_reference(plain), TOKENS), rtol=1e-4, atol=1e-4
    )


def test_mxfp4_is_packed_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    plain = make_checkpoint(tmp_path / "plain", "gpt_oss", **OSS)
    packed = write_mxfp4(plain)
    np.testing.assert_allclose(logits(packed, "int4"), logits(plain, "int4"), atol=1e-4)


def test_a_scale_that_is_no_number_is_refused(tmp_path: Path) -> None:
    packed = write_mxfp4(make_checkpoint(tmp_path / "plain", "gpt_oss", **OSS))
    weights = load_file(packed / "model.safetensors")
    weights["model.layers.1.mlp.experts.down_proj_scales"][2, 5, 1] = 255
    save_file(weights, packed / "model.safetensors")
    with pytest.raises(Invalid, match=r"layers\.1\.mlp\.experts\.2\.down_proj\.weight has scales that are not finite"):
        logits(packed, "kept")
