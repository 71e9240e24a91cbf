"""llama.cpp's names of tensors to Hugging Face's, by architecture.

Rule: what a layer's tensors are called depends on the architecture alone. Experts, which lie in one tensor here, become
matrices of their own. Names: gguf-py/gguf/tensor_mapping.py of llama.cpp.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.models.weights.entry import Entry
from haiga.models.weights.experts import slices

_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
}
_DENSE = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_LLAMA = _ATTENTION | _DENSE
_AROUND = {  # Gemma's names, where each half of a layer is normed before and after
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_MIXTRAL = {
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.*.w1",
    "ffn_up_exps": "block_sparse_moe.experts.*.w3",
    "ffn_down_exps": "block_sparse_moe.experts.*.w2",
}


def _experts(at: str, router: str) -> dict[str, str]:
    """The names of a mixture whose tensors begin with `at`."""
    return {
        "ffn_gate_inp": at + router,
        "ffn_gate_exps": at + "experts.*.gate_proj",
        "ffn_up_exps": at + "experts.*.up_proj",
        "ffn_down_exps": at + "experts.*.down_proj",
        "ffn_gate_shexp": at + "shared_expert.gate_proj",
        "ffn_up_shexp": at + "shared_expert.up_proj",
        "ffn_down_shexp": at + "shared_expert.down_proj",
        "ffn_gate_inp_shexp": at + "shared_expert_gate",
    }


_NAMES = {
    "llama": _LLAMA | _MIXTRAL,
    "qwen2moe": _LLAMA | _experts("mlp.", "gate"),
    "qwen3moe": _LLAMA | _experts("mlp.", "gate"),
    "gemma2": _LLAMA | _AROUND,
    "gemma3": _LLAMA | _AROUND,
    "phi3": _LLAMA | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
    "glm4": _LLAMA
    | {
        "ffn_up": "mlp.gate_up_proj",
        "post_attention_norm": "post_self_attn_layernorm",
        "post_ffw_norm": "post_mlp_layernorm",
    },
    "olmo2": _LLAMA | _AROUND,
    "gpt-oss": _ATTENTION
    | _experts("mlp.", "router")
    | {"post_attention_norm": "post_attention_layernorm", "attn_sinks": "self_attn.sinks"},
    "llama4": _ATTENTION
    | {name: theirs.replace("mlp.", "feed_forward.") for name, theirs in _DENSE.items()}
    | _experts("feed_forward.", "router"),
}
_NAME = re.compile(r"(?:blk\.(\d{1,5})\.)?(\w+)\.(weight|bias)")


def rename(path: Path, kind: str, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """`entries` by Hugging Face's names. Raises Invalid for a tensor that no model of the architecture has."""
    return {theirs: each for name, entry in entries.items() for theirs, each in _renamed(path, kind, name, entry)}


def _renamed(path: Path, kind: str, name: str, entry: Entry) -> Iterator[tuple[str, Entry]]:
    match = _NAME.fullmatch(name)
    known = {} if match is None else _OUTER if match[1] is None else _NAMES.get(kind, _LLAMA)
    if match is None or match[2] not in known:
        raise Invalid(f"{path}: tensor {name} is none that a model of the architecture {kind} has")
    stem = ("" if match[1] is None else f"model.layers.{int(match[1])}.") + known[match[2]]
    if "*" in stem:
        for number, each in enumerate(slices(entry)):
            yield f"{stem.replace('*', str(number))}.{match[3]}", each
    elif stem.endswith("sinks"):
        yield stem, entry
    elif stem.endswith("shared_expert_gate") and len(entry.shape) == 1:
        yield f"{stem}.{match[3]}", replace(entry, shape=(1, *entry.shape))
    else:
        yield f"{stem}.{match[3]}", entry
