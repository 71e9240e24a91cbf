"""GGUF metadata as the fields that config.json and generation_config.json would have.

Rule: what the graph and the description read from a directory's files they read from here under the same names; a
field keeps llama.cpp's name in an error, since that is what stands in the file.
Keys: gguf-py/gguf/constants.py of llama.cpp.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid
from haiga.models.fields import Fields
from haiga.models.gguf.container import Container
from haiga.models.gguf.families import ARCHITECTURES, PARTLY_TURNED, find_architecture, read_extra
from haiga.models.weights.entry import Entry

# control tokens that end an answer in llama.cpp, whether the metadata names them or not
_ENDS = frozenset(
    ("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>", "<EOT>")
)
_CONTROL = 3
_SAMPLING = {
    "temperature": "temp",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}
Factors = Mapping[str, NDArray[np.float32]]


def read_config(container: Container, factors: Factors) -> Fields:
    """The fields of config.json. `factors`: the file's tensors of rope factors by name.

    Raises Invalid naming what is missing or not supported.
    """
    metadata, source = Fields(str(container.file), container.metadata), str(container.file)
    kind = metadata.text("general.architecture")
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise metadata.refuse("general.architecture", f"{kind!r} is not supported; supported: {known}")
    fields = {key.removeprefix(kind + "."): value for key, value in container.metadata.items()}
    hyper = Fields(f"{source}: {kind}", fields)
    head = _head_size(kind, hyper)
    _check_sizes(container, hyper, head)
    return Fields(
        source,
        {
            "architectures": [find_architecture(kind, hyper)],
            "vocab_size": _rows(container),
            "hidden_size": hyper.integer("embedding_length"),
            "intermediate_size": hyper.integer("feed_forward_length", hyper.get("expert_feed_forward_length")),
            "num_hidden_layers": hyper.integer("block_count"),
            "num_attention_heads": hyper.integer("attention.head_count"),
            "num_key_value_heads": hyper.integer("attention.head_count_kv", hyper.integer("attention.head_count")),
            "head_dim": head,
            "rms_norm_eps": hyper.number("attention.layer_norm_rms_epsilon", hyper.get("attention.layer_norm_epsilon")),
            "max_position_embeddings": hyper.integer("context_length"),
            "sliding_window": hyper.get("attention.sliding_window") or None,
            "use_sliding_window": bool(hyper.get("attention.sliding_window")),
            "max_window_layers": 0,
            "rope_parameters": _rope(kind, hyper, factors, head),
            "attention_bias": "blk.0.attn_q.bias" in container.entries,
            "mlp_bias": "blk.0.ffn_up.bias" in container.entries,
            "use_qk_norm": "blk.0.attn_q_norm.weight" in container.entries,
            "tie_word_embeddings": "output.weight" not in container.entries,
            "bos_token_id": _named(metadata, "bos", _rows(container)),
            "eos_token_id": _ends(metadata, _rows(container)),
            **read_extra(kind, hyper),
        },
    )


def read_generation(container: Container) -> Fields:
    """The fields of generation_config.json."""
    given = {name: container.metadata.get(f"general.sampling.{key}") for name, key in _SAMPLING.items()}
    return Fields(str(container.file), {name: value for name, value in given.items() if value is not None})


def _head_size(kind: str, hyper: Fields) -> int:
    hidden, heads = hyper.integer("embedding_length"), hyper.integer("attention.head_count")
    even = max(hidden // heads, 1)
    told = even if kind in PARTLY_TURNED else hyper.integer("rope.dimension_count", even)
    size = hyper.integer("attention.key_length", told)
    if hyper.integer("attention.value_length", size) != size:
        raise hyper.refuse("attention.value_length", f"({hyper['attention.value_length']}) is not {_other(size)}")
    turned = hyper.integer("rope.dimension_count", size)
    if turned > size or (turned != size and kind not in PARTLY_TURNED):
        raise hyper.refuse("rope.dimension_count", f"({turned}) is not {_other(size)}")
    return size


def _other(size: int) -> str:
    return f"the heads' size ({size}), which is not supported"


def _check_sizes(container: Container, hyper: Fields, head: int) -> None:
    """Sizes that something is made of before the tensors' shapes are held against them."""
    last = f"blk.{hyper.integer('block_count') - 1}."
    if not any(name.startswith(last) for name in container.entries):
        raise hyper.refuse("block_count", f"is {hyper['block_count']}, but there is no tensor {last}*")
    heads = hyper.integer("attention.head_count")
    keys = hyper.integer("attention.head_count_kv", heads)
    for name, rows in (("blk.0.attn_q.weight", heads * head), ("blk.0.attn_qkv.weight", (heads + 2 * keys) * head)):
        if name in container.entries and container.entries[name].shape[0] == rows:
            return
    raise hyper.refuse("attention.head_count", f"is {heads}, of {head} each, which blk.0.attn_q.weight is not for")


def _rope(kind: str, hyper: Fields, factors: Factors, head: int) -> dict[str, Any]:
    """The scaling. Llama 3's is in the file as a tensor of factors, which longrope divides by as well."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": hyper.number("rope.freq_base", 10_000.0)}
    turned = hyper.integer("rope.dimension_count", head)
    rope["partial_rotary_factor"] = turned / head
    scaling = hyper.text("rope.scaling.type", "none")
    if hyper.get("rope.scaling.original_context_length"):
        rope["original_max_position_embeddings"] = hyper.integer("rope.scaling.original_context_length")
    if factors:
        short = _factors(hyper, factors, turned, ("rope_freqs.weight", "rope_factors_short.weight"))
        long = _factors(hyper, factors, turned, ("rope_freqs.weight", "rope_factors_long.weight"))
        scale = hyper.number("rope.scaling.attn_factor", 1.0)
        return {**rope, "rope_type": "longrope", "short_factor": short, "long_factor": long, "attention_factor": scale}
    match scaling:
        case "none":
            return rope
        case "linear":
            return {**rope, "rope_type": "linear", "factor": hyper.number("rope.scaling.factor")}
        case "yarn":
            fast, slow = (f"rope.scaling.yarn_beta_{name}" for name in ("fast", "slow"))
            turns = {"beta_fast": hyper.number(fast, 32.0), "beta_slow": hyper.number(slow, 1.0)}
            return {
                **rope,
                "rope_type": "yarn",
                "factor": hyper.number("rope.scaling.factor"),
                **turns,
                "truncate": kind != "gpt-oss",
            }
    raise hyper.refuse("rope.scaling.type", f"{scaling!r} is not supported; supported: none, linear, yarn, longrope")


def _factors(hyper: Fields, factors: Factors, head: int, names: tuple[str, ...]) -> list[float]:
    found = next((factors[name] for name in names if name in factors), None)
    if found is None or found.shape != (head // 2,):
        raise Invalid(f"{hyper.source}: tensor {names[-1]} must have {head // 2} numbers")
    return [float(number) for number in found]


def _rows(container: Container) -> int:
    """The vocabulary: rows of the embedding table."""
    table: Entry | None = container.entries.get("token_embd.weight")
    if table is None:
        raise Invalid(f"{container.file}: tensor token_embd.weight is missing")
    return table.shape[0]


def _named(metadata: Fields, name: str, rows: int) -> list[int]:
    """The token that the metadata names so; llama.cpp writes a number beyond the vocabulary for none."""
    return [number for number in metadata.ids(f"tokenizer.ggml.{name}_token_id") if number < rows]


def _ends(metadata: Fields, rows: int) -> list[int]:
    """Ids that end an answer: those that the metadata names, and control tokens known to be such."""
    ends = [number for name in ("eos", "eot", "eom") for number in _named(metadata, name, rows)]
    tokens, kinds = (metadata.sequence(f"tokenizer.ggml.{name}") or [] for name in ("tokens", "token_type"))
    for number, (token, kind) in enumerate(zip(tokens, kinds, strict=False)):
        if kind == _CONTROL and token in _ENDS and number not in ends:
            ends.append(number)
    return ends
