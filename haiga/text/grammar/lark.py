"""A grammar under construction, in llguidance's dialect of Lark.

Rule: a special token of the tokenizer is written by its id, anything else as text; JSON is written as templates write
it, one blank after `,` and `:` and none elsewhere.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from haiga.core.errors import Invalid

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ANYTHING = r"/(.|\n)*/"
BLANKS = r"/[ \n]*/"


class Lark:
    """Rules by name. `special`: texts of the tokenizer's special tokens, and their ids.

    `strict`: whether keywords that cannot be enforced are refused, or left out of account.
    """

    def __init__(self, special: Mapping[str, int]) -> None:
        self._special = special
        self.strict = True
        self._free = ANYTHING
        self._rules: list[str] = []
        self._names: dict[str, str] = {}
        longest_first = sorted(special, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def rule(self, body: str, options: str = "", name: str | None = None) -> str:
        """The name of a rule `body`, made unless there is one already."""
        if name is None and (known := self._names.get(options + body)):
            return known
        name = name or f"r{len(self._rules)}"
        self._names[options + body] = name
        self._rules.append(f"{name}{options}: {body or quoted('')}")
        return name

    def terminal(self, body: str) -> str:
        """The name of a terminal."""
        if known := self._names.get(body):
            return known
        name = self._names[body] = f"T{len(self._rules)}"
        self._rules.append(f"{name}: {body}")
        return name

    def literal(self, text: str) -> str:
        """An expression for exactly `text`."""
        parts: list[str] = []
        start = 0
        for match in self._pattern.finditer(text):
            parts += [quoted(text[start : match.start()]), f"<[{self._special[match[0]]}]>"]
            start = match.end()
        return " ".join(part for part in (*parts, quoted(text[start:])) if part != '""') or '""'

    def spells(self, text: str) -> bool:
        """Whether `text` holds a special token's text."""
        return self._pattern.search(text) is not None

    def until(self, end: str) -> str:
        """Text up to the first `end`, and `end` itself."""
        return self._until(end, ANYTHING)

    def free(self, but: str = "") -> str:
        """Text of the answer proper; `but`: what it may not be, as a regular expression."""
        return self.terminal(f"{self._free} & ~/{but}/" if but else self._free)

    def free_until(self, end: str) -> str:
        """Text of the answer proper up to the first `end`, and `end` itself."""
        return self._until(end, self._free)

    def optional(self, begin: str, rest: str) -> str:
        """What begins with `begin`, blanks before it aside, or nothing: text of the answer then never begins so."""
        if self._pattern.match(begin):
            return f"({self.terminal(BLANKS)} {self.literal(begin)} {rest})?"
        self._free = f"{ANYTHING} & ~/[ \\n]*{escaped(begin)}(.|\\n)*/"
        head = self.rule(f"/[ \\n]*{escaped(begin)}/", "[lazy]")
        return f"({head} {rest})?"

    def _until(self, end: str, text: str) -> str:
        match = self._pattern.search(end)
        if match and match.start() == 0:
            return f"{self.terminal(text)} {self.literal(end)}"
        first = end[: match.start()] if match else end
        lazy = self.rule(f"{self.terminal(text)} {quoted(first)}", "[lazy]")
        rest = self.literal(end[len(first) :])
        return f"{lazy} {rest}" if rest != '""' else lazy

    def json(self, schema: Mapping[str, Any]) -> str:
        """A JSON value of the schema. Raises Invalid for one that is nested too deep to be written."""
        style = {**JSON_STYLE, "lenient": not self.strict, "coerce_one_of": not self.strict}
        try:
            return self.rule(f"%json {json.dumps({**schema, 'x-guidance': style})}")
        except RecursionError as error:
            raise Invalid("the schema is nested too deep") from error

    def add(self, rules: Sequence[str]) -> None:
        """Whole rules under names of their own."""
        self._rules += rules

    def text(self, start: str) -> str:
        """The grammar, beginning at the expression `start`."""
        return "\n".join(["%llguidance {}", f"start: {start}", *self._rules])


def quoted(text: str) -> str:
    """`text` as a Lark string."""
    return json.dumps(text, ensure_ascii=False)


def escaped(text: str) -> str:
    """`text` inside a Lark regular expression."""
    out = re.sub(r"[\\.+*?()|\[\]{}^$/#&~\-]", lambda match: "\\" + match[0], text)
    return out.replace("\n", "\\n")
