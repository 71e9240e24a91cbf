"""Random checkpoints of real shapes: speed does not depend on the weights' values.

Rule: written once under a folder of the caller's choice, then reused.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SHARD = 400 << 20  # bytes; a shard is held in memory while it is written


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's dimensions, named as config.json names them."""

    vocab_size: int = 32_000
    hidden_size: int = 2048
    intermediate_size: int = 8192
    num_hidden_layers: int = 16
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    head_dim: int = 64
    max_position_embeddings: int = 131_072


@dataclass(frozen=True, slots=True)
class Mixture(Shape):
    """A Qwen3-MoE's: four layers with experts of the size that Qwen3-30B-A3B has."""

    vocab_size: int = 8192
    num_hidden_layers: int = 4
    num_key_value_heads: int = 4
    moe_intermediate_size: int = 768
    num_experts: int = 64
    num_experts_per_tok: int = 4
    norm_topk_prob: bool = True


LLAMA_1B = Shape()
# 100M parameters; each token is a byte, so that an answer is seen token by token
LLAMA_100M = Shape(258, 768, 2048, num_hidden_layers=16, num_attention_heads=12, num_key_value_heads=4)


def write(shape: Shape, directory: Path) -> Path:
    """A checkpoint of this shape in f16 in `directory`, unless it is there already."""
    if (directory / "config.json").exists():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    index: dict[str, str] = {}
    for number, shard in enumerate(_shards(shape)):
        name = f"model-{number:05}.safetensors"
        save_file(dict(shard), directory / name)
        index |= dict.fromkeys(shard, name)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    _write_tokenizer(shape.vocab_size, directory)
    mixed = isinstance(shape, Mixture)
    config = {
        "architectures": ["Qwen3MoeForCausalLM" if mixed else "LlamaForCausalLM"],
        "model_type": "qwen3_moe" if mixed else "llama", "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
        "hidden_act": "silu", "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 1, **asdict(shape),
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def _shards(shape: Shape) -> Iterator[Mapping[str, NDArray[np.float16]]]:
    random = np.random.default_rng(0)
    noise = (random.standard_normal(1 << 20) * 0.02).astype(np.float16)
    shard: dict[str, NDArray[np.float16]] = {}
    for name, dimensions in _tensors(shape):
        shard[name] = _fill(noise, dimensions, int(random.integers(1 << 20)))
        if sum(tensor.nbytes for tensor in shard.values()) > SHARD:
            yield shard
            shard = {}
    if shard:
        yield shard


def _fill(noise: NDArray[np.float16], dimensions: tuple[int, ...], start: int) -> NDArray[np.float16]:
    if len(dimensions) == 1:
        return np.ones(dimensions, np.float16)
    count = int(np.prod(dimensions))
    return np.resize(np.roll(noise, start), count).reshape(dimensions)


def _tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, inner = shape.hidden_size, shape.intermediate_size
    query, keys = shape.num_attention_heads * shape.head_dim, shape.num_key_value_heads * shape.head_dim
    yield "model.embed_tokens.weight", (shape.vocab_size, hidden)
    yield "model.norm.weight", (hidden,)
    for layer in range(shape.num_hidden_layers):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (hidden,)
        yield at + "post_attention_layernorm.weight", (hidden,)
        yield at + "self_attn.q_proj.weight", (query, hidden)
        yield at + "self_attn.k_proj.weight", (keys, hidden)
        yield at + "self_attn.v_proj.weight", (keys, hidden)
        yield at + "self_attn.o_proj.weight", (hidden, query)
        if isinstance(shape, Mixture):
            yield from _experts(shape, at)
        else:
            yield from _mlp(at + "mlp.", hidden, inner)


def _mlp(at: str, hidden: int, inner: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield at + "gate_proj.weight", (inner, hidden)
    yield at + "up_proj.weight", (inner, hidden)
    yield at + "down_proj.weight", (hidden, inner)


def _experts(shape: Mixture, at: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield at + "self_attn.q_norm.weight", (shape.head_dim,)
    yield at + "self_attn.k_norm.weight", (shape.head_dim,)
    yield at + "mlp.gate.weight", (shape.num_experts, shape.hidden_size)
    for number in range(shape.num_experts):
        yield from _mlp(f"{at}mlp.experts.{number}.", shape.hidden_size, shape.moe_intermediate_size)


def _write_tokenizer(vocabulary: int, directory: Path) -> None:
    """A byte-level tokenizer without merges: one token a byte, the rest of the ids unused."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<s>", "</s>", *letters][:vocabulary]
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(directory / "tokenizer.json"))
