"""FunctionGemma: `call:name{key:value}`, text between escape tokens."""

import json
from typing import Any

from haiga.text.formats.arguments import Listed
from haiga.text.formats.format import Format

ESCAPE = "<escape>"


def literal(value: Any) -> str:
    """A JSON value as FunctionGemma writes it."""
    match value:
        case str():
            return f"{ESCAPE}{value}{ESCAPE}"
        case list():
            return f"[{','.join(map(literal, value))}]"
        case dict():
            return f"{{{','.join(f'{key}:{literal(each)}' for key, each in value.items())}}}"
    return json.dumps(value)


def value_of(text: str) -> Any:
    """What a FunctionGemma value says; text that is none stands for itself."""
    try:
        value, rest = _value(text)
    except ValueError:
        return text
    return text if rest else value


def _value(text: str) -> tuple[Any, str]:
    """The value that `text` begins with, and the rest. Raises ValueError."""
    if text.startswith(ESCAPE):
        inner, _, rest = text[len(ESCAPE) :].partition(ESCAPE)
        return inner, rest
    if text.startswith("["):
        return _items(text[1:], "]", lambda item: _value(item))
    if text.startswith("{"):
        pairs, rest = _items(text[1:], "}", _pair)
        return dict(pairs), rest
    end = min((at for mark in ",]}" if (at := text.find(mark)) >= 0), default=len(text))
    return json.loads(text[:end]), text[end:]


def _pair(text: str) -> tuple[tuple[str, Any], str]:
    key, found, rest = text.partition(":")
    if not found:
        raise ValueError(text)
    value, rest = _value(rest)
    return (key, value), rest


def _items(text: str, close: str, read: Any) -> tuple[list[Any], str]:
    items = []
    while not text.startswith(close):
        item, text = read(text)
        items.append(item)
        if text.startswith(","):
            text = text[1:]
        elif not text.startswith(close):
            raise ValueError(text)
    return items, text[1:]


GEMMA = Format(
    name="gemma",
    models="FunctionGemma",
    hints=(("<start_function_call>",),),
    open="<start_function_call>",
    before="call:",
    middle="{",
    arguments=Listed(":", ",", "}", (ESCAPE,), False, literal, value_of),
    close="<end_function_call>",
    apart=True,
)
