"""The OpenAI Embeddings API, read and written.

Rule: texts and token ids are taken in all four shapes; a vector is written as numbers, or as base64 of its 32-bit
floats, little-endian, which is what the official SDKs ask for unless told otherwise.
"""

import sys
from array import array
from base64 import b64encode
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, Field

from haiga.core.embedding import EmbeddingRequest, Embeddings, Passage, Vector
from haiga.core.errors import Invalid
from haiga.wire.body import read_object
from haiga.wire.openai_body import Shape, read_shape, wrong_type

MAX_INPUTS = 2048
SHAPES = "one of a string, array of strings, array of integers, or array of integer arrays"
Encoding = Literal["float", "base64"]


def _as_passages(value: Any) -> Any:
    """Every shape as a list of texts and of token ids."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return value
    if value and all(type(item) is int for item in value):
        return [tuple(value)]
    return [tuple(item) if isinstance(item, list) else item for item in value]


class EmbeddingBody(Shape):
    """The body of POST /v1/embeddings."""

    model: str
    input: Annotated[
        Any, BeforeValidator(_as_passages, json_schema_input_type=str | list[str] | list[int] | list[list[int]])
    ]
    dimensions: int | None = Field(default=None, ge=1)
    encoding_format: Encoding | None = None
    user: str | None = None


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int
    cost: float | None = None


class EmbeddingItem(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingAnswer(BaseModel):
    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage


def read_embedding(body: bytes) -> tuple[EmbeddingRequest, Encoding]:
    """The body of POST /v1/embeddings, and how the vectors are wanted. Raises Invalid."""
    shape = read_shape(EmbeddingBody, read_object(body))
    inputs = _passages(shape.input)
    request = EmbeddingRequest(shape.model, inputs, dimensions=shape.dimensions, user=shape.user)
    return request, shape.encoding_format or "float"


def write_embeddings(made: Embeddings, encoding: Encoding, model: str, cost: float | None = None) -> bytes:
    """The answer under the name `model`, with its `cost` in US dollars where that is told."""
    write = _base64 if encoding == "base64" else array.tolist
    data = [{"object": "embedding", "index": i, "embedding": write(vector)} for i, vector in enumerate(made.vectors)]
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens, **({} if cost is None else {"cost": cost})}
    return orjson.dumps({"object": "list", "data": data, "model": model, "usage": usage})


def _passages(value: Any) -> tuple[Passage, ...]:
    if not isinstance(value, list):
        raise wrong_type("input", SHAPES, value)
    if not value:
        raise _empty("input", "array")
    if len(value) > MAX_INPUTS:
        raise Invalid(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, but got an array "
            f"with length {len(value)} instead.",
            field="input",
            code="array_above_max_length",
        )
    several = len(value) > 1
    for at, passage in enumerate(value):
        _check(passage, f"input[{at}]" if several else "input")
    return tuple(value)


def _check(passage: Any, param: str) -> None:
    if not isinstance(passage, str | tuple):
        raise wrong_type(param, "a string or an array of token ids", passage)
    if not passage:
        raise _empty(param, "string" if isinstance(passage, str) else "array")
    if isinstance(passage, tuple) and not all(_is_token(item) for item in passage):
        raise wrong_type(param, "an array of token ids", list(passage))


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _empty(param: str, what: Literal["string", "array"]) -> Invalid:
    one = "an array" if what == "array" else "a string"
    return Invalid(
        f"Invalid '{param}': empty {what}. Expected {one} with minimum length 1, but got an empty {what} instead.",
        field=param,
        code=f"empty_{what}",
    )


def _base64(vector: Vector) -> str:
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return b64encode(vector.tobytes()).decode()
