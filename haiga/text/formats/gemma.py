"""FunctionGemma and Gemma 4: `call:name{key:value}`, text between quote tokens."""

import json
from typing import Any

from haiga.text.formats.arguments import Listed
from haiga.text.formats.format import Format

ESCAPE, QUOTE = "<escape>", '<|"|>'


class Notation:
    """Values with `quote` before and after text; keys stand bare."""

    def __init__(self, quote: str) -> None:
        self.quote = quote

    def literal(self, value: Any) -> str:
        """A JSON value as the model writes it."""
        match value:
            case str():
                return f"{self.quote}{value}{self.quote}"
            case list():
                return f"[{','.join(map(self.literal, value))}]"
            case dict():
                return f"{{{','.join(f'{key}:{self.literal(each)}' for key, each in value.items())}}}"
        return json.dumps(value)

    def value_of(self, text: str) -> Any:
        """What a written value says; text that is none stands for itself."""
        try:
            value, rest = self._value(text)
        except ValueError:
            return text
        return text if rest else value

    def style(self) -> Listed:
        """Arguments in this notation."""
        return Listed(":", ",", "}", (self.quote,), False, self.literal, self.value_of)

    def _value(self, text: str) -> tuple[Any, str]:
        """The value that `text` begins with, and the rest. Raises ValueError."""
        if text.startswith(self.quote):
            inner, _, rest = text[len(self.quote) :].partition(self.quote)
            return inner, rest
        if text.startswith("["):
            return _items(text[1:], "]", self._value)
        if text.startswith("{"):
            pairs, rest = _items(text[1:], "}", self._pair)
            return dict(pairs), rest
        end = min((at for mark in ",]}" if (at := text.find(mark)) >= 0), default=len(text))
        return json.loads(text[:end]), text[end:]

    def _pair(self, text: str) -> tuple[tuple[str, Any], str]:
        key, found, rest = text.partition(":")
        if not found:
            raise ValueError(text)
        value, rest = self._value(rest)
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
    arguments=Notation(ESCAPE).style(),
    close="<end_function_call>",
    apart=True,
)
GEMMA4 = Format(
    name="gemma4",
    models="Gemma 4",
    hints=(("<|tool_call>", "<tool_call|>"),),
    open="<|tool_call>",
    before="call:",
    middle="{",
    arguments=Notation(QUOTE).style(),
    close="<tool_call|>",
    apart=True,
)
