"""What a tool-call dialect is: one definition, read by the encoder, the parser (calls.py) and the grammar.

Rule: a call is `before` name `middle` arguments `after`. Calls stand either all in one section, `open` call `between`
call `close`, or each in a section of its own (`apart`), the sections joined by `between`. `{index}` in `middle` is
the call's number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from haiga.text.formats.arguments import Schema, Style


@dataclass(frozen=True, slots=True)
class Format:
    """A dialect. `hints`: strings of which one group must be in a chat template, all of the group, for the dialect
    to be recognised. at_start: calls are told from text only where an answer begins. channels: an answer is messages on
    channels (harmony). others: markup besides that of calls. call_id: what ids of past calls look like to the model,
    where its template writes them for the name. models: who speaks it."""

    name: str
    models: str
    hints: tuple[tuple[str, ...], ...]
    open: str
    before: str
    middle: str
    arguments: Style
    after: str = ""
    between: str = ""
    close: str = ""
    apart: bool = False
    at_start: bool = False
    channels: bool = False
    others: tuple[str, ...] = ()
    call_id: str = ""

    def encode(self, calls: Iterable[tuple[str, Mapping[str, Any]]], schemas: Mapping[str, Schema]) -> str:
        """The calls as the model writes them."""
        written = [self._call(at, name, arguments, schemas) for at, (name, arguments) in enumerate(calls)]
        if self.apart:
            return self.between.join(f"{self.open}{call}{self.close}" for call in written)
        return f"{self.open}{self.between.join(written)}{self.close}"

    def _call(self, index: int, name: str, arguments: Mapping[str, Any], schemas: Mapping[str, Schema]) -> str:
        middle = self.middle.replace("{index}", str(index))
        return f"{self.before}{name}{middle}{self.arguments.write(arguments, schemas.get(name, {}))}{self.after}"

    def spells(self, text: str) -> bool:
        """Whether `text`, a control token, is a part of the dialect's markup."""
        style = [getattr(self.arguments, name, "") for name in ("open", "key_end", "value_end")]
        quotes = getattr(self.arguments, "quotes", ())
        parts = (
            self.open,
            self.before,
            self.middle,
            self.after,
            self.between,
            self.close,
            *style,
            *quotes,
            *self.others,
        )
        return any(text in part for part in parts)

    def triggers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The strings that turn text into calls of the tools `names`."""
        if self.at_start:
            return tuple(f"{self.open}{self.before}{name}{self.middle}" for name in names)
        return (self.open.strip(),)

    def recognised(self, source: str) -> bool:
        """Whether a chat template speaks this dialect."""
        return any(all(hint in source for hint in group) for group in self.hints)
