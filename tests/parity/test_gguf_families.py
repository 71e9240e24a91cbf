"""GGUF files of the families beside Llama: logits agree with transformers on what the `gguf` package reads out of them.

Names, stacks and order are written here as llama.cpp's converter writes them.
"""

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import openvino as ov
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file, save_file

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.gguf import GGUF
from haiga.models.load import Loaded
from haiga.models.registry import build, read_decoder
from haiga.models.weights import Heap, Weights
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

EXACT = {"KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
TOKENS = random_tokens(80)
Arrays = dict[str, Any]
COMMON = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    **{f"self_attn.{letter}_proj": f"attn_{letter}" for letter in "qkv"},
    "self_attn.o_proj": "attn_output",
    **{f"self_attn.{letter}_norm": f"attn_{letter}_norm" for letter in "qk"},
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.sinks": "attn_sinks.weight",
    **{f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")},
    "mlp.gate_up_proj": "ffn_up",
    "mlp.gate": "ffn_gate_inp",
    "mlp.router": "ffn_gate_inp",
    "block_sparse_moe.gate": "ffn_gate_inp",
    "feed_forward.router": "ffn_gate_inp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    **{f"mlp.shared_expert.{part}_proj": f"ffn_{part}_shexp" for part in ("gate", "up", "down")},
    **{f"feed_forward.shared_expert.{part}_proj": f"ffn_{part}_shexp" for part in ("gate", "up", "down")},
    **{f"feed_forward.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")},
    "experts.w1": "ffn_gate_exps",
    "experts.w3": "ffn_up_exps",
    "experts.w2": "ffn_down_exps",
    **{f"experts.{part}_proj": f"ffn_{part}_exps" for part in ("gate", "up", "down")},
}
AROUND = {
    "pre_feedforward_layernorm": "ffn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
NAMES = {
    "gemma2": AROUND,
    "gemma3": AROUND,
    "olmo2": AROUND,
    "glm4": {"post_self_attn_layernorm": "post_attention_norm", "post_mlp_layernorm": "post_ffw_norm"},
    "gpt-oss": {"post_attention_layernorm": "post_attention_norm"},
}


def plain(arrays: Arrays, kind: str) -> Arrays:
    """Experts that lie in one tensor as matrices [out, in] of their own, gate and up apart."""
    found: Arrays = {}
    for name, values in arrays.items():
        match = re.fullmatch(r"(.*experts)\.(gate_up_proj|down_proj)(_bias)?", name)
        if match is None:
            found[name] = values
            continue
        stem, part, bias = match.groups()
        for number, each in enumerate(values):
            turned, last = (each, "bias") if bias else (each.T, "weight")
            halves = {"down_proj": turned}
            if part == "gate_up_proj":
                cut = (turned[::2], turned[1::2]) if kind == "gpt-oss" else np.split(turned, 2)
                halves = dict(zip(("gate_proj", "up_proj"), cut, strict=True))
            found |= {f"{stem}.{number}.{half}.{last}": np.ascontiguousarray(each) for half, each in halves.items()}
    return found


def stacked(arrays: Arrays, kind: str) -> Arrays:
    """The tensors by llama.cpp's names, experts stacked."""
    names, stacks, found = COMMON | NAMES.get(kind, {}), dict[str, dict[int, Any]](), dict[str, Any]()
    for name, values in arrays.items():
        layer = re.match(r"model\.layers\.(\d+)\.", name)
        rest = name[layer.end() :] if layer else name
        at = f"blk.{layer[1]}." if layer else ""
        expert = re.fullmatch(r".*experts\.(\d+)\.(\w+)\.(\w+)", rest)
        if expert is not None:
            stacks.setdefault(f"{at}{names['experts.' + expert[2]]}.{expert[3]}", {})[int(expert[1])] = values
        elif rest in names:
            found[at + names[rest]] = values
        else:
            stem, _, last = rest.rpartition(".")
            found[f"{at}{names[stem]}.{last}"] = values
    return found | {name: np.stack([each[at] for at in range(len(each))]) for name, each in stacks.items()}


def interleaved(name: str, values: Any, config: Any) -> Any:
    """Rows of queries and keys as the converter orders them for llama and granite."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return values
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def write(path: Path, arrays: Arrays, config: Any, kind: str, matrices: Type, metadata: dict[str, Any]) -> None:
    """`arrays` as a GGUF file."""
    writer = gguf.GGUFWriter(path, kind)
    rope = config.rope_parameters
    fields = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": getattr(config, "rms_norm_eps", None),
        "attention.key_length": getattr(config, "head_dim", None),
        "rope.freq_base": rope.get("rope_theta", 10000.0),
        **metadata,
    }
    adds = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    for key, value in fields.items():
        if value is not None:
            adds[type(value)](f"{kind}.{key}", value)
    for name, values in arrays.items():
        if values.ndim < 2 or name.endswith(("norm.weight", ".bias", "inp.weight", "shexp.weight")):
            writer.add_tensor(name, values.astype(np.float32).squeeze())
        else:
            writer.add_tensor(name, quantize(values, matrices), raw_dtype=matrices)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


MOE = {"expert_count": 4, "expert_used_count": 2}
QWEN = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 40}
FREE = {"head_dim": 32}
NO_CAP = {"attn_logit_softcapping": None, "query_pre_attn_scalar": 32, "final_logit_softcapping": 3.0}
SHARED = {"shared_expert_intermediate_size": 48}
LLAMA4 = {
    "head_dim": 32,
    "num_local_experts": 4,
    "intermediate_size": 32,
    "intermediate_size_mlp": 96,
    "interleave_moe_layer_step": 2,
    "attention_chunk_size": 64,
    "num_hidden_layers": 4,
}
GRANITE = {"attention_multiplier": 0.3, "embedding_multiplier": 2.5, "residual_multiplier": 0.7, "logits_scaling": 4.0}
PARTLY = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}
LOCAL = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "rope_theta": 10000.0,
    "original_max_position_embeddings": 32,
    "truncate": False,
}
# transformers' type, its config; llama.cpp's, and the metadata that only it has
CASES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "mixtral": ("mixtral", {"num_local_experts": 4}, "llama", MOE),
    "qwen 2 moe": (
        "qwen2_moe",
        {**QWEN, **SHARED},
        "qwen2moe",
        {**MOE, "expert_feed_forward_length": 32, "expert_shared_feed_forward_length": 48},
    ),
    "qwen 3 moe": (
        "qwen3_moe",
        {**QWEN, **FREE, "norm_topk_prob": True},
        "qwen3moe",
        {**MOE, "expert_feed_forward_length": 32},
    ),
    "gemma": ("gemma", FREE, "gemma", {}),
    "gemma 2": (
        "gemma2",
        {**FREE, **MIXED, **NO_CAP},
        "gemma2",
        {"attention.sliding_window": 40, "final_logit_softcapping": 3.0},
    ),
    "gemma 3": (
        "gemma3_text",
        {**FREE, "sliding_window": 40, "num_hidden_layers": 6, "query_pre_attn_scalar": 32, "rope_parameters": LOCAL},
        "gemma3",
        {
            "attention.sliding_window": 40,
            "rope.freq_base": 1000000.0,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    "phi 3": (
        "phi3",
        {**PARTLY, "sliding_window": 40},
        "phi3",
        {"attention.sliding_window": 40, "rope.dimension_count": 8},
    ),
    "glm 4": ("glm4", FREE, "glm4", {"rope.dimension_count": 16}),
    "granite": (
        "granite",
        GRANITE,
        "granite",
        {"attention.scale": 0.3, "embedding_scale": 2.5, "residual_scale": 0.7, "logit_scale": 4.0},
    ),
    "command-r": (
        "cohere",
        {"use_qk_norm": True, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        "command-r",
        {"attention.layer_norm_epsilon": 1e-5, "logit_scale": 0.0625},
    ),
    "command-r7b": (
        "cohere2",
        {"sliding_window": 40, "num_hidden_layers": 4},
        "cohere2",
        {"attention.layer_norm_epsilon": 1e-5, "logit_scale": 0.0625, "attention.sliding_window": 40},
    ),
    "olmo 2": ("olmo2", {}, "olmo2", {}),
    "gpt-oss": (
        "gpt_oss",
        {**FREE, **MIXED, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": YARN},
        "gpt-oss",
        {
            **MOE,
            "expert_feed_forward_length": 96,
            "attention.sliding_window": 40,
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
        },
    ),
    "llama 4": (
        "llama4_text",
        LLAMA4,
        "llama4",
        {
            "expert_count": 4,
            "expert_used_count": 1,
            "expert_feed_forward_length": 32,
            "feed_forward_length": 96,
            "interleave_moe_layer_step": 2,
            "attention.sliding_window": 64,
            "rope.freq_base": 500000.0,
        },
    ),
}


def logits(path: Path) -> Any:
    weights = Weights(GGUF(path), "kept", Heap())
    horizon = read_decoder(weights.checkpoint.config, 0).horizon
    loaded = Loaded(ov.Core().compile_model(build(weights, 0), "CPU", EXACT), weights, horizon)
    return OpenVINORunner(loaded, 4, exact=False).step([Row(TOKENS, 0, range(3), len(TOKENS))]).copy()


@pytest.mark.parametrize(("case", "matrices"), [(name, Type.F32) for name in CASES] + [("qwen 3 moe", Type.Q4_0)])
def test_every_architecture_agrees_with_transformers(tmp_path: Path, case: str, matrices: Type) -> None:
    theirs, config, kind, metadata = CASES[case]
    directory = make_checkpoint(tmp_path / "checkpoint", theirs, **config)
    file = directory / "model.safetensors"
    arrays = {
        name: values if values.ndim < 2 or matrices == Type.F32 else dequantize(quantize(values, matrices), matrices)
        for name, values in load_file(file).items()
    }
    save_file(arrays, file, {"format": "pt"})
    model = load_reference(directory)
    found = plain(arrays, kind)
    if kind in ("llama", "granite"):
        found = {name: interleaved(name, values, model.config) for name, values in found.items()}
    if kind.startswith("gemma"):
        found = {name: values + 1 if name.endswith("norm.weight") else values for name, values in found.items()}
    write(tmp_path / "model.gguf", stacked(found, kind), model.config, kind, matrices, metadata)
    np.testing.assert_allclose(logits(tmp_path / "model.gguf"), reference_logits(model, TOKENS), atol=2e-4)
