"""Reads what is to be judged. Rule: whatever is wrong is named in OpenAI's words."""

from typing import Any

from haiga.core.errors import Invalid
from haiga.core.messages import ImageSource
from haiga.core.moderation import Item, ModerationRequest
from haiga.wire.body import read_object
from haiga.wire.openai_body import missing, read_shape, unsupported_values, wrong_type
from haiga.wire.openai_chat.messages_in import media_source
from haiga.wire.openai_chat.rules import check_data_url
from haiga.wire.openai_moderations.shapes import (
    DEFAULT_MODEL,
    MAX_INPUTS,
    ExplainBody,
    ImagePart,
    ModerationBody,
    TextPart,
)

SHAPES = "a string, an array of strings, or an array of parts"


def read_moderation(body: bytes, explained: bool = False) -> ModerationRequest:
    """The body of POST /v1/moderations, or of its `explain`. Raises Invalid."""
    shape = read_shape(ExplainBody if explained else ModerationBody, read_object(body))
    rewrite = shape.rewrite if isinstance(shape.rewrite, str) else "" if shape.rewrite else None
    return ModerationRequest(
        shape.model or DEFAULT_MODEL, _items(shape.input), explained or shape.explain, rewrite, shape.user
    )


def _items(value: Any) -> tuple[Item, ...]:
    if not isinstance(value, list):
        raise wrong_type("input", SHAPES, value)
    if not value:
        raise Invalid(
            "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            field="input",
            code="empty_array",
        )
    if len(value) > MAX_INPUTS:
        raise Invalid(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, but got an array "
            f"with length {len(value)} instead.",
            field="input",
            code="array_above_max_length",
        )
    if all(isinstance(each, str) for each in value):
        return tuple(Item((text,)) for text in value)
    parts = [_part(each, f"input[{at}]") for at, each in enumerate(value)]
    texts = tuple(part for part in parts if isinstance(part, str))
    return (Item(texts, tuple(part for part in parts if not isinstance(part, str))),)


def _part(value: Any, path: str) -> str | ImageSource:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object, as the others are", value)
    if "type" not in value:
        raise missing(f"{path}.type")
    if value["type"] not in ("text", "image_url"):
        raise unsupported_values(value["type"], ("text", "image_url"), f"{path}.type")
    try:
        if value["type"] == "text":
            return read_shape(TextPart, value).text
        url = read_shape(ImagePart, value).image_url.url
    except Invalid as error:
        raise Invalid(error.message, field=f"{path}.{error.field}", code=error.code) from None
    return _image(url, f"{path}.image_url.url")


def _image(url: str, path: str) -> ImageSource:
    if not url.startswith(("http://", "https://", "data:")):
        raise Invalid(
            f"Invalid '{path}'. Expected a valid URL, but got a value with an invalid format.",
            field=path,
            code="invalid_value",
        )
    if url.startswith("data:"):
        check_data_url(path, url)
    return media_source(url)
