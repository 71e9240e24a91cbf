"""What the metadata of each architecture adds to the fields that all of them have.

Rule: only what the architecture's reader asks config.json for; what llama.cpp takes for granted is written out here,
with its own numbers (src/llama-model.cpp, src/models).
"""

from collections.abc import Callable
from typing import Any

from haiga.models.fields import Fields

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "qwen2moe": "Qwen2MoeForCausalLM",
    "qwen3moe": "Qwen3MoeForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "granite": "GraniteForCausalLM",
    "command-r": "CohereForCausalLM",
    "cohere2": "Cohere2ForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "gpt-oss": "GptOssForCausalLM",
    "llama4": "Llama4ForCausalLM",
}
INTERLEAVED = ("llama", "mistral", "smollm3", "granite")  # rows of queries and keys, for neighbours to be turned
RAISED = ("gemma", "gemma2", "gemma3")  # norms' weights are stored with one added
PARTLY_TURNED = ("phi3", "glm4")
_LARGEST = {"gemma2": 46, "gemma3": 62}  # layers of the members whose queries are scaled by the hidden size
Extra = dict[str, Any]


def find_architecture(kind: str, hyper: Fields) -> str:
    """Mistral and Mixtral go by the name of llama in llama.cpp, OLMo 3 by that of OLMo 2."""
    windowed = bool(hyper.get("attention.sliding_window"))
    match kind:
        case "llama" if hyper.integer("expert_count", 0, least=0):
            return "MixtralForCausalLM"
        case "llama" if windowed:
            return "MistralForCausalLM"
        case "olmo2" if windowed:
            return "Olmo3ForCausalLM"
    return ARCHITECTURES[kind]


def read_extra(kind: str, hyper: Fields) -> Extra:
    """The architecture's own fields. Raises Invalid naming the one that is wrong."""
    mixed = _mixture(hyper) if hyper.integer("expert_count", 0, least=0) else {}
    return {**mixed, **_EXTRAS.get(kind, _nothing)(hyper)}


def _nothing(_: Fields) -> Extra:
    return {}


def _mixture(hyper: Fields) -> Extra:
    return {
        "num_experts": hyper.integer("expert_count"),
        "num_experts_per_tok": hyper.integer("expert_used_count"),
        "moe_intermediate_size": hyper.get("expert_feed_forward_length"),
        "shared_expert_intermediate_size": hyper.get("expert_shared_feed_forward_length"),
    }


def _gemma(hyper: Fields) -> Extra:
    heads, head = hyper.integer("attention.head_count"), hyper.integer("attention.key_length", 256)
    kind = hyper.source.rpartition(": ")[2]
    largest = _LARGEST.get(kind) == hyper.integer("block_count")
    base = hyper.get("rope.freq_base_swa")
    return {
        "query_pre_attn_scalar": hyper.integer("embedding_length") // heads if largest else head,
        "final_logit_softcapping": hyper.get("final_logit_softcapping"),
        "rope_local_base_freq": 10_000.0 if base is None else base,
        "attention_bias": False,
    }


def _granite(hyper: Fields) -> Extra:
    return {
        "attention_multiplier": hyper.number("attention.scale"),
        "embedding_multiplier": hyper.number("embedding_scale", 1.0),
        "residual_multiplier": hyper.number("residual_scale", 1.0),
        "logits_scaling": hyper.number("logit_scale", 1.0),
    }


def _cohere(hyper: Fields) -> Extra:
    return {
        "layer_norm_eps": hyper.number("attention.layer_norm_epsilon"),
        "logit_scale": hyper.number("logit_scale", 0.0625),
    }


def _gpt_oss(hyper: Fields) -> Extra:
    return {
        "intermediate_size": hyper.get("expert_feed_forward_length") or hyper.integer("feed_forward_length"),
        "attention_bias": True,
    }


def _llama4(hyper: Fields) -> Extra:
    return {
        "intermediate_size": hyper.integer("expert_feed_forward_length"),
        "intermediate_size_mlp": hyper.integer("feed_forward_length"),
        "interleave_moe_layer_step": hyper.integer("interleave_moe_layer_step"),
        "attention_chunk_size": hyper.get("attention.sliding_window") or 8192,
        "use_qk_norm": hyper.integer("expert_count") != 128,  # Maverick
    }


_EXTRAS: dict[str, Callable[[Fields], Extra]] = {
    "qwen3moe": lambda _: {"norm_topk_prob": True},
    "gemma": lambda _: {"attention_bias": False},
    "gemma2": _gemma,
    "gemma3": _gemma,
    "granite": _granite,
    "command-r": _cohere,
    "cohere2": _cohere,
    "gpt-oss": _gpt_oss,
    "llama4": _llama4,
}
