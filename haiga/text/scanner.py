"""Finds strings in a text that arrives in pieces.

Rule: how the text is cut never matters. The match that is complete first wins (where two end at the same character,
the longer one); text is released as soon as no match can begin in it.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Found(NamedTuple):
    """`text`: certain and free of matches. `match`: the string found after it, None when all input is used up."""

    text: str
    match: str | None
    rest: str


class Scanner:
    """Looks for any of `patterns`; holds back only a tail that might be the beginning of one."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(pattern for pattern in patterns if pattern)
        self._held = ""

    def feed(self, text: str) -> Found:
        """The text before the first match, the match, and the input after it, which is for the caller to feed on."""
        buffer = self._held + text
        ends = [(at + len(pattern), at, pattern) for pattern in self._patterns if (at := buffer.find(pattern)) >= 0]
        if ends:
            end, start, match = min(ends)
            self._held = ""
            return Found(buffer[:start], match, buffer[end:])
        keep = self._undecided(buffer)
        self._held = buffer[keep:]
        return Found(buffer[:keep], None, "")

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held)

    def finish(self) -> str:
        """The tail that began no match after all."""
        held, self._held = self._held, ""
        return held

    def _undecided(self, buffer: str) -> int:
        """Where the longest tail starts that some pattern starts with."""
        return min((_overlap(buffer, pattern) for pattern in self._patterns), default=len(buffer))


def _overlap(buffer: str, pattern: str) -> int:
    at = buffer.find(pattern[0], max(0, len(buffer) - len(pattern) + 1))
    while at >= 0 and not pattern.startswith(buffer[at:]):
        at = buffer.find(pattern[0], at + 1)
    return at if at >= 0 else len(buffer)
