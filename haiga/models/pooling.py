"""From the states of a text's tokens to its one vector.

Rule: what the files of sentence-transformers beside the checkpoint say, and where there are none what the family does:
encoders take the mean, decoders the last token, both brought to unit length.
Formats: modules.json, a list of {idx, path, type}; the pooling module's own config.json; sentence_bert_config.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import openvino.opset15 as op

from haiga.core.errors import Invalid
from haiga.models.dense import DenseGraph
from haiga.models.fields import Fields, read_fields
from haiga.models.graph import Node, constant

Mode = Literal["cls", "mean", "max", "mean_sqrt_len", "weightedmean", "lasttoken"]
MODULES = "modules.json"
_FLAGS: dict[str, Mode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_LEAST = 1e-12  # the length below which a vector is left as it is, as torch's normalize does


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the states become one vector; `unit`: it is brought to unit length."""

    mode: Mode
    unit: bool


def is_sentence_model(directory: Path) -> bool:
    """Whether the checkpoint in `directory` was made for embeddings."""
    return (directory / MODULES).is_file()


def read_pooling(directory: Path, causal: bool) -> Pooling:
    """Read the files beside a checkpoint. Raises Invalid naming the file, and the module that is not known."""
    if not is_sentence_model(directory):
        return Pooling("lasttoken" if causal else "mean", unit=True)
    mode, unit = None, False
    for module in _modules(directory / MODULES):
        match module.text("type").rpartition(".")[2]:
            case "Transformer":
                pass
            case "Pooling":
                mode = _mode(read_fields(_inside(directory, module) / "config.json"))
            case "Normalize":
                unit = True
            case other:
                raise module.refuse("type", f"{other!r} is not supported; supported: Transformer, Pooling, Normalize")
    if mode is None:
        raise Invalid(f"{directory / MODULES}: names no Pooling")
    return Pooling(mode, unit)


def read_limit(directory: Path) -> int | None:
    """The longest text in tokens that the files beside a checkpoint allow, None where they say nothing."""
    file = directory / "sentence_bert_config.json"
    if not file.is_file() or read_fields(file).get("max_seq_length") is None:
        return None
    return read_fields(file).integer("max_seq_length")


def pool(graph: DenseGraph, states: Node, pooling: Pooling) -> Node:
    """One vector for each sequence, [B, hidden], of states [B * T, hidden]."""
    x = graph.by_sequence(states)
    real = op.unsqueeze(graph.real, constant(2, np.int64))  # [B, T, 1]
    pooled = _pooled(graph, x, real, pooling.mode)
    if not pooling.unit:
        return pooled
    length = op.sqrt(op.reduce_sum(op.multiply(pooled, pooled), constant([1], np.int64), True))
    return op.divide(pooled, op.maximum(length, constant(_LEAST, np.float32)))


def _pooled(graph: DenseGraph, x: Node, real: Node, mode: Mode) -> Node:
    zero, along = constant(0, np.int64), constant([1], np.int64)
    if mode == "cls":
        return op.gather(x, zero, constant(1, np.int64))
    if mode == "lasttoken":
        last = op.unsqueeze(op.subtract(graph.lengths, constant(1, np.int64)), constant(1, np.int64))
        return op.squeeze(op.gather(x, last, constant(1, np.int64), 1), along)
    if mode == "max":
        padding = op.multiply(op.subtract(real, constant(1, np.float32)), constant(1e9, np.float32))
        return op.reduce_max(op.add(x, padding), along, False)
    weights = op.multiply(real, _weights(graph)) if mode == "weightedmean" else real
    summed, total = op.reduce_sum(op.multiply(x, weights), along, False), op.reduce_sum(weights, along, False)
    return op.divide(summed, op.sqrt(total) if mode == "mean_sqrt_len" else total)


def _weights(graph: DenseGraph) -> Node:
    """1 for the first token, 2 for the second and so on: [B, T, 1] (SGPT, arXiv 2202.08904)."""
    places = op.add(op.convert(graph.positions, np.float32), constant(1, np.float32))
    return graph.by_sequence(op.unsqueeze(places, constant(1, np.int64)))


def _modules(file: Path) -> list[Fields]:
    try:
        listed: Any = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise Invalid(f"{file}: cannot be read as JSON ({problem})") from None
    if not isinstance(listed, list) or not all(isinstance(module, dict) for module in listed):
        raise Invalid(f"{file}: holds no list of objects")
    return [Fields(f"{file}: module {at}", module) for at, module in enumerate(listed)]


def _inside(directory: Path, module: Fields) -> Path:
    """The module's folder: a plain name, so that a list from elsewhere does not reach out of its directory."""
    name = module.text("path")
    if Path(name).name != name or name in {"", ".", ".."} or "\\" in name:
        raise module.refuse("path", f"{name!r} is not a folder's name in this directory")
    return directory / name


def _mode(config: Fields) -> Mode:
    """The one way of pooling that a module's config names, as flags or by name."""
    named: list[Mode] = [mode for flag, mode in _FLAGS.items() if config.flag(flag, False)]
    named += [mode for mode in get_args(Mode) if config.get("pooling_mode") == mode and mode not in named]
    if len(named) != 1:
        raise config.refuse(
            "pooling_mode", f"names {' and '.join(named) or 'none'} of {', '.join(get_args(Mode))}; one"
        )
    return named[0]
