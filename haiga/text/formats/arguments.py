"""How dialects write a call's arguments, and how they are read back while they arrive.

Rule: a reader gives pieces that join to one JSON object. By default a piece is a whole key and value; what is cut off
in the middle is given too, as the beginning of one. Nothing is lost, nothing is invented.
"""

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

Schema: TypeAlias = Mapping[str, Any]


class Read(NamedTuple):
    """`pieces` of JSON text; `rest` is what follows the arguments, None while they go on."""

    pieces: list[str]
    rest: str | None


class Reader(Protocol):
    """One call's arguments under way."""

    def feed(self, text: str) -> Read: ...

    def finish(self) -> str:
        """The unfinished piece at the end of a cut answer."""


class Style(Protocol):
    """A way of writing arguments."""

    def write(self, arguments: Mapping[str, Any], schema: Schema) -> str: ...

    def reader(self, schema: Schema, eager: bool) -> Reader: ...


def dumped(value: Any) -> str:
    """JSON as templates write it: blanks after `,` and `:`, every letter as itself."""
    return json.dumps(value, ensure_ascii=False)


def is_text(schema: Schema, key: str) -> bool:
    """Whether the property `key` can only be text, so that it is written as it stands."""
    property_ = dict(schema.get("properties", {})).get(key, {})
    return isinstance(property_, Mapping) and property_.get("type") == "string"


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON object."""

    def write(self, arguments: Mapping[str, Any], schema: Schema) -> str:
        return dumped(dict(arguments))

    def reader(self, schema: Schema, eager: bool) -> Reader:
        return _JsonReader(eager)


class _JsonReader:
    """Follows strings and brackets; cuts at the commas of the outermost object."""

    def __init__(self, eager: bool) -> None:
        self._eager = eager
        self._held = ""
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> Read:
        if self._depth == 0:
            text = text.lstrip()
        pieces: list[str] = []
        start = 0
        for place, character in enumerate(text):
            self._step(character)
            if self._depth == 0:
                return Read([*pieces, *self._closed(text[start:place])], text[place + 1 :])
            if character == "," and self._depth == 1 and not self._in_string:
                pieces.append(self._held + text[start:place])
                self._held, start = "", place
        self._held += text[start:]
        if self._eager and self._held:
            pieces.append(self.finish())
        return Read(pieces, None)

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held

    def _closed(self, last: str) -> list[str]:
        """The last key and value, and the closing brace; of an object without any, both braces at once."""
        last = self.finish() + last
        return ["{}"] if last.strip() == "{" else [last, "}"]

    def _step(self, character: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1


class _Items:
    """Joins keys and values to the pieces of one JSON object."""

    def __init__(self) -> None:
        self._count = 0

    def piece(self, key: str, value: Any) -> str:
        return f"{self._opening()}{dumped(key)}: {dumped(value)}"

    def cut(self, key: str, value: str) -> str:
        """The beginning of a value that was cut off, already JSON."""
        return f"{self._opening()}{dumped(key)}: {value}" if value else ""

    def end(self) -> str:
        return "}" if self._count else "{}"

    def _opening(self) -> str:
        self._count += 1
        return "{" if self._count == 1 else ", "


@dataclass(frozen=True, slots=True)
class Tagged:
    """One element for each parameter: `open` key `key_end` value `value_end`. Text stands as it is, anything else
    is JSON."""

    open: str
    key_end: str
    value_end: str

    def write(self, arguments: Mapping[str, Any], schema: Schema) -> str:
        return "".join(
            f"{self.open}{key}{self.key_end}{self._written(key, value, schema)}{self.value_end}"
            for key, value in arguments.items()
        )

    def reader(self, schema: Schema, eager: bool) -> Reader:
        return _TaggedReader(self, schema)

    def _written(self, key: str, value: Any, schema: Schema) -> str:
        return value if isinstance(value, str) and is_text(schema, key) else dumped(value)


class _TaggedReader:
    def __init__(self, tags: Tagged, schema: Schema) -> None:
        self._tags = tags
        self._schema = schema
        self._items = _Items()
        self._held = ""
        self._key: str | None = None

    def feed(self, text: str) -> Read:
        self._held += text
        pieces: list[str] = []
        while True:
            if self._key is None:
                ended = self._between()
                if ended is not None:
                    return Read([*pieces, self._items.end()], ended)
            if self._key is None or (piece := self._value()) is None:
                return Read(pieces, None)
            pieces.append(piece)

    def finish(self) -> str:
        if self._key is None:
            return ""
        value = _without_tail(self._held, self._tags.value_end.rstrip())
        return self._items.cut(self._key, dumped(value)[:-1] if is_text(self._schema, self._key) else value)

    def _between(self) -> str | None:
        """Reads a key if one begins; the rest of the text where the arguments are at their end."""
        held = self._held.lstrip()
        opening = self._tags.open.strip()
        if held.startswith(opening):
            key, found, rest = held[len(opening) :].partition(self._tags.key_end)
            if found:
                self._key, self._held = key, rest
            return None
        return None if opening.startswith(held) else held

    def _value(self) -> str | None:
        value, found, rest = self._held.partition(self._tags.value_end.rstrip())
        if not found or self._key is None:
            return None
        piece = self._items.piece(self._key, self._parsed(self._key, value))
        self._key, self._held = None, rest
        return piece

    def _parsed(self, key: str, value: str) -> Any:
        if is_text(self._schema, key):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value


@dataclass(frozen=True, slots=True)
class Listed:
    """`key=value, …` up to `close`; `quotes` begin and end text, in which a backslash escapes if `escapes`."""

    equals: str
    comma: str
    close: str
    quotes: tuple[str, ...]
    escapes: bool
    dump: Callable[[Any], str]
    parse: Callable[[str], Any]

    def write(self, arguments: Mapping[str, Any], schema: Schema) -> str:
        return self.comma.join(f"{key}{self.equals}{self.dump(value)}" for key, value in arguments.items()) + self.close

    def reader(self, schema: Schema, eager: bool) -> Reader:
        return _ListedReader(self)


class _ListedReader:
    """Cuts at commas outside quotes and brackets."""

    def __init__(self, style: Listed) -> None:
        self._style = style
        self._items = _Items()
        self._held = ""
        self._at = 0
        self._depth = 0
        self._quote: str | None = None

    def feed(self, text: str) -> Read:
        self._held += text
        pieces: list[str] = []
        while (step := self._step()) is not None:
            if step and self._ends_item():
                pieces += self._item(self._held[: self._at])
                closed = self._held[self._at] == self._style.close
                self._held, self._at = self._held[self._at + 1 :], 0
                if closed:
                    return Read([*pieces, self._items.end()], self._held)
                continue
            self._at += step
        return Read(pieces, None)

    def finish(self) -> str:
        key, _, value = self._held.partition(self._style.equals)
        for quote in self._style.quotes:
            if quote.startswith(value):
                return ""
            if value.startswith(quote) and self._quote:
                return self._items.cut(key.strip(), dumped(_without_tail(value[len(quote) :], quote))[:-1])
            if value.startswith(quote):
                return self._items.cut(key.strip(), dumped(self._style.parse(value)))
        return self._items.cut(key.strip(), value)

    def _step(self) -> int | None:
        """How far to go on: past a quote or one character; None when more text is needed to know."""
        rest = self._held[self._at : self._at + 16]
        if not rest:
            return None
        if self._quote and self._style.escapes and rest[0] == "\\":
            return 2 if len(rest) > 1 else None
        for quote in (self._quote,) if self._quote else self._style.quotes:
            if rest.startswith(quote):
                self._quote = None if self._quote else quote
                return len(quote)
            if quote.startswith(rest):
                return None
        if not self._quote:
            self._depth += (rest[0] in "([{") - (rest[0] in ")]}")
        return 1

    def _ends_item(self) -> bool:
        if self._quote:
            return False
        character = self._held[self._at]
        return (character == "," and self._depth == 0) or (character == self._style.close and self._depth < 0)

    def _item(self, text: str) -> list[str]:
        key, found, value = text.partition(self._style.equals)
        return [self._items.piece(key.strip(), self._style.parse(value.strip()))] if found else []


def _without_tail(text: str, end: str) -> str:
    """The text without what may be the beginning of `end`."""
    length = next((n for n in range(len(end), 0, -1) if text.endswith(end[:n])), 0)
    return text[: len(text) - length]


def python_literal(value: Any) -> str:
    """A JSON value as Python writes it."""
    match value:
        case bool() | None:
            return repr(value)
        case list():
            return f"[{', '.join(map(python_literal, value))}]"
        case dict():
            return f"{{{', '.join(f'{dumped(key)}: {python_literal(each)}' for key, each in value.items())}}}"
    return dumped(value)


def python_value(text: str) -> Any:
    """What a Python literal says; text that is none stands for itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


JSON = Json()
PYTHON = Listed("=", ", ", ")", ('"', "'"), True, python_literal, python_value)
