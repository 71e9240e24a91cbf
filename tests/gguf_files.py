"""Tiny GGUF files made with the `gguf` package from tiny random checkpoints, and what they mean to transformers.

Rule: nothing of ours writes or reads them here. K types, which the package cannot quantise to, get random blocks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray

Array = NDArray[Any]
INTERLEAVED = ("llama", "mistral", "smollm3")
# where in a block of so many bytes its float16 scales lie
_LONG = {Type.Q4_K: (144, (0, 2)), Type.Q5_K: (176, (0, 2)), Type.Q6_K: (210, (208,))}


def write_gguf(
    path: Path,
    model: Any,
    kind: Type = Type.F32,
    architecture: str = "llama",
    metadata: Mapping[str, Any] | None = None,
    factors: Array | None = None,
    split: int = 0,
) -> list[Path]:
    """Write transformers' `model` as `path` with its matrices in `kind`, and give the model the weights that the gguf
    package reads out of them. metadata: more fields, or None to leave one out; factors: rope_freqs; split: tensors in a
    part."""
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=split)
    for key, value in {**_hyper(model.config, architecture), **(metadata or {})}.items():
        _add(writer, key, value)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors.astype(np.float32))
    for number, (name, parameter) in enumerate(model.named_parameters()):
        values = _interleave(name, parameter.detach().numpy(), model.config, architecture)
        if values.ndim == 1:
            writer.add_tensor(_name(name), values)
            continue
        stored = _random_blocks(values.shape, kind, number) if kind in _LONG else quantize(values, kind)
        writer.add_tensor(_name(name), stored, raw_dtype=kind)
        _give_back(name, parameter, dequantize(stored, kind).reshape(values.shape), model.config, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(path.stem + "*.gguf"))


def _hyper(config: Any, architecture: str) -> dict[str, Any]:
    rope = config.rope_parameters
    fields = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "attention.key_length": config.head_dim or config.hidden_size // config.num_attention_heads
        if hasattr(config, "head_dim")
        else None,
        "rope.freq_base": rope["rope_theta"],
    }
    return {f"{architecture}.{key}": value for key, value in fields.items()}


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    match value:
        case None:
            pass
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case _:
            writer.add_array(key, value)


def _heads(name: str, config: Any, architecture: str) -> int:
    """Heads whose rows llama.cpp's converter interleaves in this tensor."""
    if architecture not in INTERLEAVED:
        return 0
    return {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2], 0)


def _interleave(name: str, values: Array, config: Any, architecture: str) -> Array:
    heads = _heads(name, config, architecture)
    if not heads:
        return values
    split = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(values.shape))


def _give_back(name: str, parameter: Any, values: Array, config: Any, architecture: str) -> None:
    order = _interleave(name, np.arange(len(values)), config, architecture)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values[np.argsort(order)].copy()))


def _random_blocks(shape: tuple[int, ...], kind: Type, seed: int) -> Array:
    size, halves = _LONG[kind]
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (shape[0], shape[1] // 256, size), np.uint8)
    for at in halves:
        scales = random.uniform(1e-4, 3e-4, blocks.shape[:2]).astype(np.float16)
        blocks[..., at : at + 2] = scales[..., None].view(np.uint8)
    return blocks.reshape(shape[0], -1)


def _name(name: str) -> str:
    """llama.cpp's name of one of transformers' tensors."""
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem, _, part = name.rpartition(".")
    if stem in outer:
        return f"{outer[stem]}.{part}"
    _, _, layer, *rest = stem.split(".")
    inner = dict(_inner())
    return f"blk.{layer}.{inner['.'.join(rest)]}.{part}"


def _inner() -> Iterator[tuple[str, str]]:
    for letter, short in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "output")):
        yield f"self_attn.{letter}_proj", f"attn_{short}"
        yield f"self_attn.{letter}_norm", f"attn_{short}_norm"
    for which in ("gate", "up", "down"):
        yield f"mlp.{which}_proj", f"ffn_{which}"
    yield "input_layernorm", "attn_norm"
    yield "post_attention_layernorm", "ffn_norm"
