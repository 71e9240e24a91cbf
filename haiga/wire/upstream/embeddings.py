"""Texts to be embedded as the body of POST /embeddings, and the vectors of its answer.

Rule: vectors are asked for as base64, which is what the official SDKs ask for, and taken as numbers too. A vector for
each text, all of one length, or none.
"""

import sys
from array import array
from base64 import b64decode
from math import isfinite
from typing import Any

import orjson

from haiga.core.embedding import EmbeddingRequest, Embeddings, Vector
from haiga.core.errors import Failed
from haiga.core.generation import Served
from haiga.wire.upstream.errors import told_error
from haiga.wire.upstream.reading import count, read_json

BYTES = 4  # a token, where an upstream does not count


def embeddings_body(request: EmbeddingRequest, model: str) -> bytes:
    """`model` is the name there."""
    fields = {"model": model, "input": request.inputs, "encoding_format": "base64"}
    wanted = {"dimensions": request.dimensions, "user": request.user}
    return orjson.dumps(fields | {name: value for name, value in wanted.items() if value is not None})


def read_embeddings(data: bytes, request: EmbeddingRequest, by: Served) -> Embeddings:
    """The vectors in the order of the texts. Raises Failed for what is something else, and what an error says."""
    said = read_json(data)
    if said.get("error"):
        raise told_error(said, None, {}, by.provider)
    try:
        vectors = _vectors(said["data"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise _senseless(by) from None
    widths = {len(vector) for vector in vectors}
    if len(vectors) != len(request.inputs) or len(widths) != 1 or 0 in widths or not all(map(_is_finite, vectors)):
        raise _senseless(by)
    usage = said.get("usage")
    tokens = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else 0
    return Embeddings(vectors, tokens or _estimate(request), by)


def _vectors(listed: Any) -> tuple[Vector, ...]:
    placed = sorted(enumerate(listed), key=lambda pair: int(pair[1].get("index", pair[0])))
    return tuple(_vector(each["embedding"]) for _, each in placed)


def _vector(told: Any) -> Vector:
    if not isinstance(told, str):
        return array("f", told)
    vector = array("f")
    vector.frombytes(b64decode(told, validate=True))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _is_finite(vector: Vector) -> bool:
    """A sum of 32-bit floats cannot leave what 64 bits hold, unless one of them is none."""
    return isfinite(sum(vector))


def _estimate(request: EmbeddingRequest) -> int:
    return sum(
        len(each) if isinstance(each, tuple) else -(-len(each.encode(errors="replace")) // BYTES)
        for each in request.inputs
    )


def _senseless(by: Served) -> Failed:
    return Failed(f"{by.provider} answered with something else than a vector for each text", code="upstream_failed")
