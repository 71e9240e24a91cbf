"""Words and patterns that are looked for in texts.

Rule: time is linear in the length of the text, whatever the pattern: patterns are RE2's, which has no backtracking and
so no back references nor lookaround. Words are found in whatever disguise `words` takes off them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import re2

from haiga.core.errors import Invalid
from haiga.text.words import Word, words

LONGEST = 1000  # characters of a pattern
MEMORY = 4 << 20  # bytes that a pattern's automaton may take


class Wording:
    """A term: some words in a row, or signs that are no words. Upper and lower case are one."""

    def __init__(self, text: str) -> None:
        """Raises Invalid for a term with nothing in it."""
        if not text.strip():
            raise Invalid("must not be empty")
        self._words = [word.text for word in words(text)]
        self._signs = None if self._words else Pattern(re2.escape(text.strip()))

    def find(self, text: str, read: Sequence[Word]) -> Iterator[tuple[int, int]]:
        """Where it stands in `text`, whose words are `read`: [start, end) in characters."""
        if self._signs is not None:
            yield from self._signs.find(text, read)
            return
        wanted, size = self._words, len(self._words)
        for at, word in enumerate(read):
            if word.text == wanted[0] and [each.text for each in read[at : at + size]] == wanted:
                yield word.start, read[at + size - 1].end


class Pattern:
    """A regular expression."""

    def __init__(self, pattern: str) -> None:
        """Raises Invalid for what RE2 does not take, and for a pattern that matches nothing at all."""
        if len(pattern) > LONGEST:
            raise Invalid(f"a pattern may have at most {LONGEST} characters")
        options: Any = re2.Options()
        options.case_sensitive, options.log_errors, options.max_mem = False, False, MEMORY
        try:
            self._compiled: Any = re2.compile(pattern, options)
        except re2.error as problem:
            said = problem.args[0] if problem.args else "it is wrong"
            told = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise Invalid(f"is no regular expression of RE2's: {told}") from None
        if self._compiled.match(""):
            raise Invalid("matches the empty text, and so every text")

    def find(self, text: str, read: Sequence[Word]) -> Iterator[tuple[int, int]]:
        """Where it matches: [start, end) in characters."""
        sound = text.encode(errors="replace").decode()
        yield from (match.span() for match in self._compiled.finditer(sound) if match.end() > match.start())
