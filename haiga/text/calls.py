"""Reads tool calls, in any dialect, while they arrive.

Rule: the dialect's definition is followed part by part; blanks between its parts do not matter. Where a text leaves
the definition, what was not yet read is handed back as text, so that nothing is lost.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from haiga.text.emitter import Emitter
from haiga.text.formats.arguments import Reader, Schema
from haiga.text.formats.format import Format

_NAME = re.compile(r"[A-Za-z0-9_.\-]*")


class Broken(Exception):
    """The text leaves the dialect's definition."""


class More(Exception):
    """The text so far does not decide."""


class CallsReader:
    """One section of calls, from after its `open`. `feed` gives None while it goes on, else the text behind it."""

    def __init__(
        self, format_: Format, schemas: Mapping[str, Schema], emitter: Emitter, eager: Collection[str] = ()
    ) -> None:
        self._format = format_
        self._schemas = schemas
        self._emitter = emitter
        self._eager = eager
        self._held = ""
        self._arguments: Reader | None = None
        self._step: Callable[[], bool] = self._before

    def feed(self, text: str) -> str | None:
        """Reads on. The text behind the section, None while it goes on."""
        self._held += text
        try:
            while self._step():
                pass
        except More:
            return None
        except Broken:
            self._emitter.close()
        return self._held

    def finish(self) -> None:
        """The answer was cut here: what is known of the open call is given."""
        if self._arguments:
            self._emitter.arguments([self._arguments.finish()])
        self._emitter.close()

    def _before(self) -> bool:
        self._expect(self._format.before)
        self._step = self._name
        return True

    def _name(self) -> bool:
        held = self._held.lstrip()
        match = _NAME.match(held)
        name = match[0] if match else ""
        if len(name) == len(held):
            raise More
        if not name:
            raise Broken
        self._held = held[len(name) :]
        self._emitter.call(name)
        self._arguments = self._format.arguments.reader(self._schemas.get(name, {}), name in self._eager)
        self._step = self._middle
        return True

    def _middle(self) -> bool:
        self._expect(self._format.middle)
        self._step = self._read
        return True

    def _read(self) -> bool:
        if self._arguments is None or not self._held:
            raise More
        read = self._arguments.feed(self._held)
        self._emitter.arguments(read.pieces)
        self._held = read.rest or ""
        if read.rest is None:
            raise More
        self._arguments = None
        self._step = self._after
        return True

    def _after(self) -> bool:
        self._emitter.close()
        self._expect(self._format.after)
        self._step = self._next
        return True

    def _next(self) -> bool:
        """Another call of the section, or its end."""
        if self._format.apart:
            self._expect(self._format.close)
            return False
        another = matched(self._held, self._format.between + self._format.before)
        end = matched(self._held, self._format.close)
        if self._format.close and isinstance(end, int):
            self._held = self._held[end:]
            return False
        if isinstance(another, int):
            self._step = self._between
            return True
        if "more" in (another, end if self._format.close else "no"):
            raise More
        if self._format.close:
            raise Broken
        return False

    def _between(self) -> bool:
        self._expect(self._format.between)
        self._step = self._before
        return True

    def _expect(self, literal: str) -> None:
        end = matched(self._held, literal)
        if end == "more":
            raise More
        if end == "no":
            raise Broken
        self._held = self._held[end:]


def matched(text: str, literal: str) -> int | Literal["more", "no"]:
    """Where in `text` the `literal` ends, blanks of both left aside and `{index}` standing for digits; "more" while
    that is open, "no" when it is not there."""
    at = 0
    for part in re.findall(r"\{index\}|\S", literal):
        while at < len(text) and text[at].isspace():
            at += 1
        digits = re.compile(r"\d*").match(text, at) if part == "{index}" else None
        if at == len(text) or (digits and digits.end() == len(text)):
            return "more"
        if digits:
            at = digits.end()
        elif text[at] != part:
            return "no"
        else:
            at += 1
    return at
