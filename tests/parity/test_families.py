"""Logits agree with transformers at every position, for every member of the family, however the work is cut up.

Prompts are longer than the sliding windows and the original rope lengths that the cases set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

LENGTH = 150


@dataclass(frozen=True)
class Case:
    """A checkpoint to make, and the context to load it for (0: its own)."""

    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    context: int = 0


def rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


LONG = {"long_factor": [1.0 + i for i in range(8)], "short_factor": [1.0 + i / 10 for i in range(8)]}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}

CASES = {
    "llama 2, no shared heads, untied": Case("llama", {"num_key_value_heads": 4}),
    "llama 3, tied": Case("llama", {**rope("llama3", **LLAMA3), "tie_word_embeddings": True}),
    "linear": Case("llama", rope("linear", factor=4.0)),
    "dynamic": Case("llama", {**rope("dynamic", factor=2.0), "max_position_embeddings": 64}, context=LENGTH),
    "yarn": Case("llama", rope("yarn", factor=4.0, original_max_position_embeddings=32)),
    "yarn with mscale, not truncated": Case(
        "llama",
        rope("yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=0.4, truncate=False),
    ),
    "longrope, long": Case("llama", rope("longrope", factor=8.0, original_max_position_embeddings=64, **LONG)),
    "longrope, short": Case(
        "llama", rope("longrope", factor=2.0, original_max_position_embeddings=256, **LONG), context=256
    ),
    "biases, gelu, head size of its own": Case(
        "llama", {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "head_dim": 32}
    ),
    "mistral, sliding window": Case("mistral", {"sliding_window": 40}),
    "mistral, no window": Case("mistral", {"sliding_window": None, "head_dim": 32}),
    "qwen 2": Case("qwen2"),
    "qwen 2, window from the second layer on": Case(
        "qwen2", {"use_sliding_window": True, "sliding_window": 40, "max_window_layers": 1}
    ),
    "qwen 3": Case("qwen3", {"head_dim": 32}),
    "qwen 3, biases, window by layer type": Case(
        "qwen3",
        {
            "attention_bias": True,
            "use_sliding_window": True,
            "sliding_window": 40,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "smollm 3": Case("smollm3", {"no_rope_layers": [1, 0], "attention_bias": True, "mlp_bias": True}),
    "smollm 3, every fourth layer without rope": Case("smollm3", {"num_hidden_layers": 4}),
}


EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

DEEPSEEK = {
    "q_lora_rank": None,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 32,
    "v_head_dim": 32,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
}
LLAMA4 = {
    "head_dim": 32,
    "num_hidden_layers": 4,
    "num_local_experts": 4,
    "intermediate_size": 32,
    "intermediate_size_mlp": 96,
    "interleave_moe_layer_step": 2,
    "attention_chunk_size": 64,
    "floor_scale": 16,
}

CASES |= {
    "mixtral, sliding window": Case("mixtral", {"num_local_experts": 4, "sliding_window": 40}),
    "qwen 2 moe, shared expert, every second layer": Case(
        "qwen2_moe", {**EXPERTS, "shared_expert_intermediate_size": 48, "decoder_sparse_step": 2}
    ),
    "qwen 3 moe, first layer dense": Case("qwen3_moe", {**EXPERTS, "mlp_only_layers": [0], "head_dim": 32}),
    "gemma": Case("gemma", {"head_dim": 32}),
    "gemma 2, scores not capped": Case(
        "gemma2",
        {"head_dim": 32, "sliding_window": 40, "attn_logit_softcapping": None, "query_pre_attn_scalar": 24},
    ),
    "gemma 3, two ropes": Case(
        "gemma3_text",
        {
            "head_dim": 32,
            "sliding_window": 40,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
            },
            "final_logit_softcapping": 3.0,
        },
    ),
    "phi 3, longrope, window": Case(
        "phi3",
        {
            **rope("longrope", factor=8.0, original_max_position_embeddings=64, **LONG),
            "original_max_position_embeddings": 64,
            "sliding_window": 100,
        },
    ),
    "phi 4 mini, part of a head turned": Case(
        "phi3", {**rope("default", partial_rotary_factor=0.75), "tie_word_embeddings": True}
    ),
    "glm": Case("glm", {"head_dim": 32}),
    "glm 4": Case("glm4", {"head_dim": 32}),
    "granite": Case(
        "granite",
        {
            "attention_multiplier": 0.3,
            "embedding_multiplier": 2.5,
            "residual_multiplier": 0.7,
            "logits_scaling": 4.0,
        },
    ),
    "cohere, norms of queries and keys": Case("cohere", {"use_qk_norm": True}),
    "cohere 2, window, one layer without positions": Case(
        "cohere2",
        {"sliding_window": 40, "layer_types": ["sliding_attention", "full_attention"], "attention_bias": True},
    ),
    "olmo 2": Case("olmo2"),
    "olmo 3, window, two ropes": Case(
        "olmo3",
        {
            "sliding_window": 40,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "rope_theta": 10000.0,
                    "original_max_position_embeddings": 32,
                },
            },
        },
    ),
    "gpt-oss, sinks, window, yarn": Case(
        "gpt_oss",
        {
            "head_dim": 32,
            "num_local_experts": 6,
            "num_experts_per_tok": 3,
            "sliding_window": 40,
            "swiglu_limit": 0.8,
            **rope("yarn", factor=4.0, original_max_position_embeddings=32, truncate=False),
        },
    ),
    "llama 4, chunks, experts on every second layer": Case("llama4_text", LLAMA4),
    "llama 4, two experts, no norms, no temperature": Case(
        "llama4_text",
        {
            **LLAMA4,
            "num_experts_per_tok": 2,
            "interleave_moe_layer_step": 1,
            "use_qk_norm": False,
            "attn_temperature_tuning": False,
            "attention_bias": True,
            "no_rope_layers": [0, 1, 1, 0],
        },
    ),
    "deepseek 2 lite, yarn, first layer dense": Case(
        "deepseek_v2",
        {
            **DEEPSEEK,
            **rope("yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=0.7),
        },
    ),
    "deepseek 2, narrow queries": Case("deepseek_v2", {**DEEPSEEK, "q_lora_rank": 24, "routed_scaling_factor": 2.0}),
    "qwen 3 moe, shares out": Case("qwen3_moe", {**EXPERTS, "norm_topk_prob": True, "num_experts_per_tok": 3}),
}


@dataclass(frozen=True)
class Made:
    directory: Path
    model: Any
    context: int
    first: list[int]
    second: list[int]
    expected_first: np.ndarray[Any, np.dtype[np.float32]]
    expected_second: np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    case: Case = request.param
    directory = make_checkpoint(tmp_path_factory.mktemp("model"), case.kind, **case.config)
    first, second = random_tokens(LENGTH, 1), random_tokens(LENGTH, 2)
    model = load_reference(directory)
    logits = (reference_logits(model, tokens) for tokens in (first, second))
    return Made(directory, model, case.context, first, second, *logits)


@pytest.fixture(scope="module", params=[True, False], ids=["exact", "fast"])
def runner(made: Made, request: pytest.FixtureRequest) -> Iterator[OpenVINORunner]:
    loaded = OpenVINORunner.load(made.directory, "f32", "f32", blocks=16, context=made.context, exact=request.param)
    yield loaded
    loaded.close()


FIRST, SECOND = list(range(5)), list(range(15, 10, -1))


def test_whole_prompts_side_by_side_agree(made: Made, runner: OpenVINORunner) -> None:
    logits = runner.step([Row(made.first, 0, FIRST, LENGTH), Row(made.second, 0, SECOND, LENGTH)])
    np.testing.assert_allclose(logits, np.concatenate([made.expected_first, made.expected_second]), atol=1e-4)


def test_chunks_and_single_tokens_in_mixed_batches_agree(made: Made, runner: OpenVINORunner) -> None:
    plan = [(37, 0), (50, 90), (1, 55), (60, 1), (1, 1), (1, 3)]
    at = [0, 0]
    for counts in plan:
        rows, expected = [], []
        for which, (tokens, table, logits) in enumerate(
            ((made.first, FIRST, made.expected_first), (made.second, SECOND, made.expected_second))
        ):
            begin, end = at[which], at[which] + counts[which]
            if end > begin:
                rows.append(Row(tokens[begin:end], begin, table, end - begin))
                expected.append(logits[begin:end])
            at[which] = end
        np.testing.assert_allclose(runner.step(rows), np.concatenate(expected), atol=1e-4)
    assert [LENGTH, LENGTH] == at


def test_a_shared_prefix_of_blocks_is_as_good_as_an_own_one(made: Made, runner: OpenVINORunner) -> None:
    runner.step([Row(made.first[:64], 0, FIRST, 0)])
    shared = [*FIRST[:2], 8, 9, 10]
    logits = runner.step([Row(made.first[64:], 64, shared, 86), Row(made.first[64:70], 64, FIRST, 1)])
    np.testing.assert_allclose(
        logits, np.concatenate([made.expected_first[64:], made.expected_first[69:70]]), atol=1e-4
    )


def test_greedy_tokens_agree(made: Made, runner: OpenVINORunner) -> None:
    """What we generate is what transformers finds most likely at every position of the same text."""
    tokens = made.first[:126]
    chosen = int(runner.step([Row(tokens, 0, FIRST, 1)])[0].argmax())
    while len(tokens) < LENGTH - 1:
        tokens = [*tokens, chosen]
        chosen = int(runner.step([Row([chosen], len(tokens) - 1, FIRST, 1)])[0].argmax())
    tokens = [*tokens, chosen]  # as long as the context that the dynamic rope was stretched for
    assert reference_logits(made.model, tokens)[125:-1].argmax(1).tolist() == tokens[126:]
