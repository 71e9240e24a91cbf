"""A JSON object to a validated shape, and the validator's complaint to OpenAI's words, `param` and `code`.

Rule: paths are written as OpenAI writes them (`messages[0].content[1].image_url.url`), without the tags of unions.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from haiga.core.errors import Invalid

MAX_SHOWN = 200  # characters of a caller's own value repeated in a message


class Shape(BaseModel):
    """Base of the request shapes: strict types, unknown fields kept."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


AnyShape = TypeVar("AnyShape", bound=BaseModel)


def read_shape(shape: type[AnyShape], value: dict[str, Any]) -> AnyShape:
    """`value` as a `shape`. Raises Invalid with param and code of the first field that is wrong."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise _complaint(error.errors(include_url=False)[0], value) from None


def missing(param: str) -> Invalid:
    return Invalid(f"Missing required parameter: '{param}'.", field=param, code="missing_required_parameter")


def wrong_type(param: str, expected: str, got: object) -> Invalid:
    return Invalid(
        f"Invalid type for '{param}': expected {expected}, but got {_article(got)} instead.",
        field=param,
        code="invalid_type",
    )


def unsupported_values(value: object, allowed: Sequence[str], param: str) -> Invalid:
    shown = f"'{str(value)[:MAX_SHOWN]}'" if isinstance(value, str) else _article(value)
    return Invalid(
        f"Invalid value: {shown}. Supported values are: {listed(allowed)}.", field=param, code="invalid_value"
    )


def listed(names: Sequence[str]) -> str:
    """'a', 'b', and 'c'."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"


def path(location: Sequence[int | str], value: Any) -> str:
    """A validator's location as OpenAI writes it: what is neither a key nor an index of `value` is a union's tag,
    except at the end, where it is the field that is missing."""
    written = ""
    for i, part in enumerate(location):
        last = i == len(location) - 1
        if isinstance(part, int) and isinstance(value, list):
            written, value = f"{written}[{part}]", value[part] if part < len(value) else None
        elif isinstance(value, dict) and (part in value or last):
            written, value = f"{written}.{part}" if written else str(part), value.get(part)
    return written


def _article(value: object) -> str:
    """What a JSON value is, as OpenAI's complaints call it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"


EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def _complaint(error: ErrorDetails, value: dict[str, Any]) -> Invalid:
    location, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        location = (*location, context["discriminator"].strip("'"))
    param = path(location, value)
    if kind in ("missing", "union_tag_not_found"):
        return missing(param)
    if kind in EXPECTED:
        return wrong_type(param, EXPECTED[kind], error["input"])
    if kind == "union_tag_invalid":
        return unsupported_values(context["tag"], _quoted(context["expected_tags"]), param)
    if kind == "literal_error":
        return unsupported_values(error["input"], _quoted(context["expected"]), param)
    if kind in BOUNDS:
        return BOUNDS[kind](param, context, error["input"])
    return Invalid(
        f"Invalid '{param}': {error['msg'].removeprefix('Value error, ')}", field=param, code="invalid_value"
    )


def _quoted(expected: str) -> list[str]:
    """The names in a validator's list: "'a', 'b' or 'c'"."""
    return expected.split("'")[1::2]


# --- values out of bounds ---


def _number(bound: object) -> str:
    """A field's own kind, whatever kind of number was given: its bound is of it."""
    return "integer" if isinstance(bound, int) else "decimal"


def _above(param: str, context: dict[str, Any], got: Any) -> Invalid:
    number = _number(context["le"])
    return Invalid(
        f"Invalid '{param}': {number} above maximum value. Expected a value <= {context['le']:g}, but got {got} "
        "instead.",
        field=param,
        code=f"{number}_above_max_value",
    )


def _below(param: str, context: dict[str, Any], got: Any) -> Invalid:
    number = _number(context["ge"])
    return Invalid(
        f"Invalid '{param}': {number} below minimum value. Expected a value >= {context['ge']:g}, but got {got} "
        "instead.",
        field=param,
        code=f"{number}_below_min_value",
    )


def _too_long(param: str, context: dict[str, Any], got: Any) -> Invalid:
    what = "array" if isinstance(got, list) else "object"
    return Invalid(
        f"Invalid '{param}': {what} too long. Expected an {what} with maximum length {context['max_length']}, but got "
        f"an {what} with length {len(got)} instead.",
        field=param,
        code=f"{what}_above_max_length",
    )


def _too_short(param: str, context: dict[str, Any], got: Any) -> Invalid:
    return Invalid(
        f"Invalid '{param}': empty array. Expected an array with minimum length {context['min_length']}, but got an "
        "empty array instead.",
        field=param,
        code="empty_array",
    )


def _string_too_long(param: str, context: dict[str, Any], got: Any) -> Invalid:
    return Invalid(
        f"Invalid '{param}': string too long. Expected a string with maximum length {context['max_length']}, but got "
        f"a string with length {len(got)} instead.",
        field=param,
        code="string_above_max_length",
    )


def _string_too_short(param: str, context: dict[str, Any], got: Any) -> Invalid:
    return Invalid(
        f"Invalid '{param}': empty string. Expected a string with minimum length {context['min_length']}, but got an "
        "empty string instead.",
        field=param,
        code="empty_string",
    )


def _pattern(param: str, context: dict[str, Any], got: Any) -> Invalid:
    return Invalid(
        f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
        f"'{context['pattern']}'.",
        field=param,
        code="invalid_value",
    )


BOUNDS: dict[str, Callable[[str, dict[str, Any], Any], Invalid]] = {
    "less_than_equal": _above,
    "greater_than_equal": _below,
    "too_long": _too_long,
    "too_short": _too_short,
    "string_too_long": _string_too_long,
    "string_too_short": _string_too_short,
    "string_pattern_mismatch": _pattern,
}
