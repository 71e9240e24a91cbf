"""A request body's bytes to a JSON object, and a validator's complaint to the API's own words.

Rule: whatever the bytes are, the outcome is a value or an `Invalid`.
"""

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from haiga.core.errors import Invalid

MAX_DEPTH = 128
MAX_CONTAINERS = 1_000_000
MAX_MESSAGE = 2000
# Where the validator would speak of its own classes.
WORDS = {
    "model_type": "Input should be a valid dictionary",
    "model_attributes_type": "Input should be a valid dictionary",
    "union_tag_not_found": "Field required",
}

Shape = TypeVar("Shape", bound=BaseModel)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises Invalid for anything else: bad UTF-8, NaN, numbers beyond a double, text after
    the document, a list, more than `MAX_DEPTH` levels of nesting or `MAX_CONTAINERS` objects and lists."""
    # Brackets within text count too: a text of a million of them is over any context.
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise Invalid(f"The request body holds more than {MAX_CONTAINERS} objects and lists")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Invalid("Input should be a valid dictionary")
    if _deeper_than(value, MAX_DEPTH):
        raise Invalid(f"The request body is nested more than {MAX_DEPTH} levels deep")
    return value


def _deeper_than(value: Any, limit: int) -> bool:
    """Level by level, so that no depth of input can exhaust the stack."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def read_shape(shape: type[Shape], value: dict[str, Any]) -> Shape:
    """`value` as a `shape`. Raises Invalid with the path of the first field that is wrong."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise _complaint(error) from None


def _complaint(error: ValidationError) -> Invalid:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # A tagged union whose tag is missing is reported at the union, not at the tag.
    loc = (*first["loc"], "type") if first["type"] == "union_tag_not_found" else first["loc"]
    path = ".".join(str(part) for part in loc)
    return Invalid(WORDS.get(first["type"], first["msg"][:MAX_MESSAGE]), field=path or None)
