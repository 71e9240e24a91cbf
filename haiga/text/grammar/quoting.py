"""Strings and regular expressions of a text as expressions of a Lark rule, for that text inside a JSON string.

Rule: a lexeme is one character of the text: a lexer that takes the longest cannot go back from the first byte of an
escape that turns out to be another one's. A character that JSON escapes is written in one way alone, its short escape;
control characters that have none are not offered. What says nothing of a text as a whole (anchors, looking around,
references back) is refused by name.
"""

import json
import re
from collections.abc import Callable

from haiga.core.errors import Invalid
from haiga.text.grammar.lark import quoted

SHORT = {char: json.dumps(char)[1:-1] for char in '"\\\n\r\t\b\f'}  # characters with a short escape
EMPTY = '""'
PLAIN = r'[^"\\\x00-\x1f]'
DEEPEST = 50
BLANKS = frozenset("\t\n\r\f\v")
COUNT = re.compile(r"\{\d+(?:,\d*)?\}")
HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|[xu]\{([0-9a-fA-F]{1,6})\}")
NAMED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "b": "\b", "0": "\0", "a": "\a"}
GROUPS = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")


def quoted_text(text: str, any_case: bool = False) -> str:
    """An expression for the JSON form of exactly `text`."""
    return f"({' '.join(_single(char, any_case) for char in text)})" if text else EMPTY


def quoted_regex(pattern: str, any_case: bool = False, dot_all: bool = False) -> str:
    """An expression for the JSON form of whatever `pattern` matches. Raises Invalid naming what cannot be had."""
    reader = _Reader(pattern, any_case, dot_all)
    made = reader.alternatives()
    if reader.at < len(pattern):
        raise Invalid(f"the regular expression {pattern[:80]!r} has an unmatched `)`")
    return f"({made})"


class _Reader:
    """A pattern, read from left to right."""

    def __init__(self, pattern: str, any_case: bool, dot_all: bool) -> None:
        self._pattern = pattern
        self._any_case = any_case
        self._dot_all = dot_all
        self._depth = 0
        self.at = 0

    def alternatives(self) -> str:
        """Up to the end of the group."""
        made = [self._sequence()]
        while self._take("|"):
            made.append(self._sequence())
        return " | ".join(made)

    def _sequence(self) -> str:
        made = []
        while self.at < len(self._pattern) and self._pattern[self.at] not in "|)":
            made.append(self._atom() + self._repetition())
        return " ".join(made) or EMPTY

    def _atom(self) -> str:
        char = self._next()
        match char:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return self._set(PLAIN, set(SHORT) - (set() if self._dot_all else {"\n"}))
            case "\\":
                return self._escape()
            case "^" | "$":
                raise self._refused(f"anchors (`{char}`)")
            case "*" | "+" | "?":
                raise Invalid(f"the regular expression {self._shown} repeats nothing")
        return _single(char, self._any_case)

    def _repetition(self) -> str:
        count = COUNT.match(self._pattern, self.at)
        made = count[0] if count else self._take("*") or self._take("+") or self._take("?")
        if count:
            self.at = count.end()
        if made and self._take("?"):
            return made  # as few as can be: of a whole text it says nothing
        if made and self._take("+"):
            raise self._refused("possessive repetitions")
        return made

    def _group(self) -> str:
        if self._pattern.startswith("?", self.at):
            head = GROUPS.match(self._pattern, self.at)
            if head is None:
                raise self._refused(f"groups that begin with `({self._pattern[self.at : self.at + 3]}`")
            self.at = head.end()
        self._depth += 1
        if self._depth > DEEPEST:
            raise Invalid(f"the regular expression {self._shown} is nested too deep")
        inner = self.alternatives()
        self._depth -= 1
        if not self._take(")"):
            raise Invalid(f"the regular expression {self._shown} has an unmatched `(`")
        return f"({inner})"

    def _escape(self) -> str:
        """An escape outside of a class."""
        mark = self._pattern[self.at : self.at + 1]
        if mark in ("d", "w", "s", "D", "W", "S"):
            self.at += 1
            return self._set(rf"[\{mark}&&{PLAIN}]", {char for char in SHORT if _in_named(mark, char)})
        if mark in ("p", "P"):
            raise self._refused("classes by property (`\\p`)")
        if mark.isdigit() and mark != "0":
            raise self._refused("references back")
        if mark in ("b", "B", "A", "z", "Z", "k", "g", "G"):
            raise self._refused(f"`\\{mark}`")
        return _single(self._character(), self._any_case)

    def _class(self) -> str:
        """A set of characters in brackets."""
        start, negated = self.at, bool(self._take("^"))
        tests: list[Callable[[str], bool]] = []
        first = True
        while first or not self._take("]"):
            if self.at >= len(self._pattern) or (not first and self._pattern[self.at] == "["):
                raise self._refused("a class inside a class, or one without an end,")
            tests.append(self._member())
            first = False
        inside = {char for char in SHORT if any(test(char) for test in tests) != negated}
        return self._set(f"[[{_class_text(self._pattern[start : self.at - 1])}]&&{PLAIN}]", inside)

    def _member(self) -> Callable[[str], bool]:
        """Which characters one part of a class has: a single one, a range, a named class."""
        char = self._next()
        if char == "\\" and self._pattern[self.at : self.at + 1] in tuple("dwsDWS"):
            mark = self._next()
            return lambda tested: _in_named(mark, tested)
        low = self._character() if char == "\\" else char
        if not (self._pattern.startswith("-", self.at) and not self._pattern.startswith("-]", self.at)):
            return lambda tested: tested == low
        self.at += 1
        following = self._next()
        high = self._character() if following == "\\" else following
        return lambda tested: low <= tested <= high

    def _set(self, plain: str, escaped: set[str]) -> str:
        """A set of characters, those that JSON escapes by their escapes."""
        kept = f"/(?i:{plain})/" if self._any_case else f"/{plain}/"
        return f"({' | '.join([kept, *(quoted(SHORT[char]) for char in sorted(escaped))])})"

    def _character(self) -> str:
        """The one character that an escape stands for, from behind its backslash."""
        if number := HEX.match(self._pattern, self.at):
            self.at = number.end()
            return chr(min(int(next(filter(None, number.groups())), 16), 0x10FFFF))
        mark = self._next()
        if mark.isalnum() and mark not in NAMED:
            raise self._refused(f"`\\{mark}`")
        return NAMED.get(mark, mark)

    def _next(self) -> str:
        if self.at >= len(self._pattern):
            raise Invalid(f"the regular expression {self._shown} ends too early")
        self.at += 1
        return self._pattern[self.at - 1]

    def _take(self, char: str) -> str:
        if not self._pattern.startswith(char, self.at):
            return ""
        self.at += 1
        return char

    @property
    def _shown(self) -> str:
        return repr(self._pattern[:80])

    def _refused(self, what: str) -> Invalid:
        return Invalid(f"the regular expression {self._shown} cannot be enforced: {what} are not supported")


def _in_named(mark: str, char: str) -> bool:
    """Whether a character that JSON escapes is in \\d, \\w, \\s or one of their opposites."""
    inside = char in BLANKS if mark in "sS" else False
    return inside != mark.isupper()


def _class_text(text: str) -> str:
    """The inside of a class as the engine of grammars writes it."""
    return re.sub(r"(?<!\\)((?:\\\\)*)(/|&&|--|~~)", lambda m: m[1] + "".join("\\" + char for char in m[2]), text)


def _single(char: str, any_case: bool) -> str:
    """One character."""
    if char < " " and char not in SHORT:
        raise Invalid(f"the character {char!r} cannot be enforced")
    cases = {char, char.lower(), char.upper()} if any_case else {char}
    made = [quoted(SHORT.get(each, each)) for each in sorted(cases) if len(each) == 1]
    return made[0] if len(made) == 1 else f"({' | '.join(made)})"
