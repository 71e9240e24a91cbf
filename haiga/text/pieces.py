"""A tokenizer out of a SentencePiece model (`tokenizer.model`) that has no tokenizer.json beside it.

Rule: the file is read here, a protocol buffer of which a dozen fields matter; what it says is what a GGUF file says of
the same model, and becomes a tokenizer where that does (text/gguf.py). Tokens added since come from the files beside.
Format: src/sentencepiece_model.proto of SentencePiece; wire format: protobuf.dev/programming-guides/encoding.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haiga.core.errors import Invalid
from haiga.text.gguf import gguf_tokenizer
from haiga.text.tokenizer import SPECIAL_NAMES, Tokenizer, read_json, special_tokens

_KINDS = {1: "t5", 2: "llama"}  # Unigram and BPE; words and characters are nobody's language model
_NORMAL, _CONTROL, _USER = 1, 3, 4
_LARGEST = 64 << 20  # bytes; the largest published ones have 8


@dataclass(slots=True)
class _Model:
    """The fields that matter, with SentencePiece's own defaults."""

    pieces: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    kind: int = 1
    ids: dict[str, int] = field(default_factory=lambda: {"unknown": 0, "bos": 1, "eos": 2, "padding": -1})
    charsmap: bytes = b""
    prefix: bool = True
    squeeze: bool = True


def pieces_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of `tokenizer.model` in `directory`. Raises Invalid naming the file that is damaged."""
    path = directory / "tokenizer.model"
    model = _read(path)
    if model.kind not in _KINDS:
        raise Invalid(f"{path}: model type {model.kind} is not supported; supported: Unigram (1), BPE (2)")
    config = read_json(directory / "tokenizer_config.json")
    _add_tokens(path, model, config, read_json(directory / "added_tokens.json"))
    named = special_tokens(directory)
    return gguf_tokenizer(str(path), _metadata(path, model, config, named))


def _metadata(path: Path, model: _Model, config: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """What a GGUF file would say. The files beside the model name its special tokens; else the model does."""
    ids = {name: number for name, number in model.ids.items() if 0 <= number < len(model.pieces)}
    known = {piece: number for number, piece in reversed(list(enumerate(model.pieces)))}
    theirs = dict(zip(SPECIAL_NAMES, ("bos", "eos", "unknown", "padding", "seperator", "cls", "mask"), strict=True))
    for name, text in named.items():
        if text not in known:
            raise Invalid(f"{path}: {name} is {text!r}, which is none of its tokens")
        ids[theirs[name]] = known[text]
    fields = {
        "model": _KINDS[model.kind],
        "tokens": model.pieces,
        "scores": model.scores,
        "token_type": model.kinds,
        "precompiled_charsmap": model.charsmap,
        "add_space_prefix": model.prefix,
        "remove_extra_whitespaces": model.squeeze,
        "add_bos_token": config.get("add_bos_token", "bos" in ids),
        "add_eos_token": config.get("add_eos_token", False),
        **{f"{name}_token_id": number for name, number in ids.items()},
    }
    return {f"tokenizer.ggml.{name}": value for name, value in fields.items()}


def _add_tokens(path: Path, model: _Model, config: Mapping[str, Any], added: Mapping[str, Any]) -> None:
    """Tokens that the files beside the model add behind its own, without a gap, and those of its own that they mark."""
    listed = config.get("added_tokens_decoder")
    told = dict(_listed(path, listed if isinstance(listed, dict) else {}))
    for text, number in added.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise Invalid(f"{path.parent / 'added_tokens.json'}: {text!r} has the id {number!r}, which is none")
        told.setdefault(number, (text, True))
    for number in sorted(told):
        text, special = told[number]
        kind = _CONTROL if special else _USER
        if number < len(model.pieces):
            if model.pieces[number] != text:
                raise Invalid(f"{path}: added token {text!r} has the id {number}, which is {model.pieces[number]!r}")
            model.kinds[number] = model.kinds[number] if model.kinds[number] != _NORMAL else kind
        elif number > len(model.pieces):
            raise Invalid(f"{path}: added token {text!r} has the id {number}, but there is none before it")
        else:
            model.pieces.append(text)
            model.scores.append(0.0)
            model.kinds.append(kind)


def _listed(path: Path, decoder: Mapping[str, Any]) -> Iterator[tuple[int, tuple[str, bool]]]:
    for number, token in decoder.items():
        content = token.get("content") if isinstance(token, dict) else None
        if not number.isdecimal() or not isinstance(content, str):
            raise Invalid(f"{path.parent / 'tokenizer_config.json'}: added_tokens_decoder.{number} is no token")
        yield int(number), (content, bool(token.get("special", True)))


def _read(path: Path) -> _Model:
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
        model = _Model()
        for number, value in _fields(data):
            match number, value:
                case 1, bytes():
                    _add_piece(model, value)
                case 2, bytes():
                    _set_trainer(model, dict(_fields(value)))
                case 3, bytes():
                    _set_normalizer(model, dict(_fields(value)))
    except (OSError, ValueError, struct.error) as problem:
        raise Invalid(f"{path}: no SentencePiece model ({problem})") from None
    if not model.pieces:
        raise Invalid(f"{path}: no SentencePiece model (it has no pieces)")
    return model


def _add_piece(model: _Model, data: bytes) -> None:
    fields = dict(_fields(data))
    text, score, kind = fields.get(1, b""), fields.get(2, 0.0), fields.get(3, _NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, float) or not isinstance(kind, int):
        raise ValueError(f"piece {len(model.pieces)} is none")
    if not math.isfinite(score):
        raise ValueError(f"piece {len(model.pieces)} has a score that is not finite")
    model.pieces.append(text.decode())
    model.scores.append(score)
    model.kinds.append(kind)


def _set_trainer(model: _Model, fields: Mapping[int, Any]) -> None:
    model.kind = fields.get(3, model.kind)
    for name, number in (("unknown", 40), ("bos", 41), ("eos", 42), ("padding", 43)):
        value = fields.get(number, model.ids[name])
        model.ids[name] = value if value < 1 << 31 else -1  # negative numbers are written as huge ones


def _set_normalizer(model: _Model, fields: Mapping[int, Any]) -> None:
    model.charsmap = fields.get(2, b"")
    model.prefix, model.squeeze = bool(fields.get(3, True)), bool(fields.get(4, True))


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """A message's fields: numbers as int, 32 bits as float, the rest as bytes. Raises ValueError for one cut short."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 1:
                at += 8
            case 2:
                size, at = _varint(data, at)
                if size > len(data) - at:
                    raise ValueError(f"a field of {size} bytes has {len(data) - at}")
                yield tag >> 3, data[at : at + size]
                at += size
            case 5:
                yield tag >> 3, struct.unpack_from("<f", data, at)[0]
                at += 4
            case other:
                raise ValueError(f"a field of the unknown type {other}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a number without an end")
