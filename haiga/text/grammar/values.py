"""Schemas in notations that are not JSON: elements, Python literals, FunctionGemma's.

Rule: what is written here is a subset of what the schema allows: properties in the schema's order, none beyond the
named ones. A keyword that a notation cannot enforce is refused by name for strict tools, and left out of account for
others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haiga.core.errors import Invalid
from haiga.text.formats.arguments import Listed, Schema, Tagged, dumped, is_text, python_literal
from haiga.text.grammar.lark import Lark, quoted

_DEEPEST = 16
_UNENFORCED = ("$ref", "allOf", "not", "if", "patternProperties", "uniqueItems", "contains", "propertyNames")
_ON_TEXT = ("pattern", "format", "minLength", "maxLength")


@dataclass(frozen=True, slots=True)
class Notation:
    """How values are written: constants, what stands between them, and the text of a schema."""

    dump: Callable[[Any], str]
    comma: str
    colon: str
    quoted_keys: bool
    text: Callable[[Lark, Schema], str]


def tagged(lark: Lark, tags: Tagged, schema: Schema) -> str:
    """Parameters as elements, in the schema's order."""
    required = schema.get("required", ())
    parts = []
    for key in schema.get("properties", {}):
        head = f"{lark.literal(tags.open)} {quoted(key)} {lark.literal(tags.key_end)}"
        item = lark.rule(f"{head} {_element(lark, tags, schema, key)}")
        parts.append(item if key in required else f"{item}?")
    return " ".join(parts)


def _element(lark: Lark, tags: Tagged, schema: Schema, key: str) -> str:
    own = schema["properties"][key]
    end = tags.value_end.rstrip()
    blank = lark.literal(tags.value_end[len(end) :])
    if not is_text(schema, key):
        shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        value = {**own, **shared} if isinstance(own, Mapping) else {}
        return f"{lark.json(value)} {lark.literal(end)} {blank}"
    _refuse(lark, own, _ON_TEXT, key)
    if values := constants(own):
        return f"({' | '.join(quoted(str(value)) for value in values)}) {lark.literal(end)} {blank}"
    return f"{lark.until(end)} {blank}"


def listed(lark: Lark, style: Listed, schema: Schema) -> str:
    """`key=value, …` and the closing character."""
    notation = PYTHON_NOTATION if style.escapes else _quoted(style)
    items = [
        (f"{quoted(key + style.equals)} {value(lark, notation, own)}", key in schema.get("required", ()))
        for key, own in schema.get("properties", {}).items()
    ]
    return f"{sequence(lark, items, style.comma)} {lark.literal(style.close)}"


def sequence(lark: Lark, items: Sequence[tuple[str, bool]], comma: str) -> str:
    """The items in order, those that are not required left out or not, `comma` between those that are there."""
    fresh, after = '""', '""'
    for item, required in reversed(items):
        following = f"{lark.literal(comma)} {item}"
        begun = f"{item} {after}"
        fresh = lark.rule(begun if required else f"{begun} | {fresh}")
        after = lark.rule(f"{following} {after}" if required else f"({following})? {after}")
    return fresh


def constants(schema: Any) -> list[Any]:
    """The only values a schema allows, [] when it does not list them."""
    if not isinstance(schema, Mapping):
        return []
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def value(lark: Lark, notation: Notation, schema: Any, depth: int = 0) -> str:
    """A value of `schema`. Raises Invalid naming a keyword that the notation cannot enforce."""
    if depth > _DEEPEST:
        raise Invalid("is nested too deep")
    if not isinstance(schema, Mapping) or not schema:
        return _any(lark, notation)
    _refuse(lark, schema, _UNENFORCED)
    if values := constants(schema):
        return f"({' | '.join(_constant(lark, notation, each) for each in values)})"
    kinds = schema.get("anyOf") or schema.get("oneOf")
    if kinds is None and isinstance(schema.get("type"), list):
        kinds = [{**schema, "type": kind} for kind in schema["type"]]
    if kinds:
        return f"({' | '.join(lark.rule(value(lark, notation, each, depth + 1)) for each in kinds)})"
    return _typed(lark, notation, schema, depth)


def _typed(lark: Lark, notation: Notation, schema: Schema, depth: int) -> str:
    match schema.get("type"):
        case "string":
            return notation.text(lark, schema)
        case "integer" | "number":
            return lark.json(schema)
        case "boolean":
            return f"({quoted(notation.dump(True))} | {quoted(notation.dump(False))})"
        case "null":
            return quoted(notation.dump(None))
        case "array":
            return _array(lark, notation, schema, depth)
        case "object":
            return _object(lark, notation, schema, depth)
    return _any(lark, notation)


def _array(lark: Lark, notation: Notation, schema: Schema, depth: int) -> str:
    item = lark.rule(value(lark, notation, schema.get("items", {}), depth + 1))
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    more = f"({quoted(notation.comma)} {item})"
    rest = f"{more}{{{max(0, least - 1)},{'' if most is None else max(0, most - 1)}}}"
    inside = f"({item} {rest})" if most != 0 else '""'
    return f'"[" {inside}{"" if least else "?"} "]"'


def _object(lark: Lark, notation: Notation, schema: Schema, depth: int) -> str:
    required = schema.get("required", ())
    items = [
        (f"{_key(notation, key)} {value(lark, notation, own, depth + 1)}", key in required)
        for key, own in schema.get("properties", {}).items()
    ]
    return f'"{{" {sequence(lark, items, notation.comma)} "}}"'


def _key(notation: Notation, key: str) -> str:
    return quoted((quoted(key) if notation.quoted_keys else key) + notation.colon)


def _constant(lark: Lark, notation: Notation, constant: Any) -> str:
    """Exactly `constant`, none of whose own text may be a control token."""
    if lark.spells(dumped(constant)):
        raise Invalid("a constant that spells a control token cannot be enforced in this model's tool-call format")
    return lark.literal(notation.dump(constant))


def _any(lark: Lark, notation: Notation) -> str:
    """Any value of one level: text, a number, true, false, nothing, or a list of those."""
    kinds = [{"type": kind} for kind in ("string", "number", "boolean", "null")]
    single = lark.rule(" | ".join(value(lark, notation, kind) for kind in kinds))
    return f'({single} | "[" ({single} ({quoted(notation.comma)} {single})*)? "]")'


def _refuse(lark: Lark, schema: Schema, keywords: Sequence[str], key: str = "") -> None:
    for keyword in keywords:
        if lark.strict and keyword in schema:
            where = f"properties.{key}." if key else ""
            raise Invalid(f"{where}{keyword} cannot be enforced in this model's tool-call format")


def _python_text(lark: Lark, schema: Schema) -> str:
    return lark.json(schema)


def _quoted(style: Listed) -> Notation:
    """Bare keys, text between quote tokens that nothing escapes."""
    quote = style.quotes[0]

    def text(lark: Lark, schema: Schema) -> str:
        _refuse(lark, schema, _ON_TEXT)
        return f"{lark.literal(quote)} {lark.until(quote)}"

    return Notation(style.dump, style.comma, style.equals, False, text)


PYTHON_NOTATION = Notation(python_literal, ", ", ": ", True, _python_text)
