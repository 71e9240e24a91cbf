"""Text on its way out, held back until it has been judged.

Rule: where it is cut depends on the text alone, never on the pieces that it came in. At most a sentence is held, and at
most `FULL` of weight: an ASCII character weighs 1 and any other 4, so that it is about 50 tokens. The first pieces are
shorter, so that the first words are not late.
"""

import re
from dataclasses import dataclass

FULL = 200
RAMP = (16, 48, 120)  # weights of the first pieces
KEEP = 64  # weight that is kept back behind a cut where something may reach over it
SENTENCE = re.compile(r"[.!?…]+[\"')\]”’»]*\s|[。！？]|\n")
SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Cut:
    """`judged` is the held text up to the cut, of which the first `free` characters may go once it is harmless. A
    `firm` cut is at the end of a sentence, or where no more can be held."""

    judged: str
    free: int
    firm: bool


class Holding:
    """`overlapping`: something that is looked for (a term) may begin before a cut and end behind it. `dear`: each look
    costs so much (a chat model is asked) that the first pieces are not shorter."""

    def __init__(self, overlapping: bool = False, dear: bool = False) -> None:
        self._keep = KEEP if overlapping else 0
        self._ramp = [] if overlapping or dear else [*reversed(RAMP)]
        self._text = ""
        self._seen = 0  # characters of it that were judged before

    def add(self, text: str) -> None:
        self._text += text

    def next(self, final: bool = False) -> Cut | None:
        """The next text to be judged; None while more has to come. `final`: nothing will."""
        limit = self._ramp[-1] if self._ramp else FULL
        most = _reach(self._text, limit)
        end, firm = self._end(self._text[:most] if most is not None else self._text, most is not None, limit == FULL)
        if end is not None:
            return Cut(self._text[:end], self._free(end), firm)
        if final and self._text:
            return Cut(self._text, len(self._text), True)
        return None

    def release(self, cut: Cut, end: int | None = None) -> None:
        """What a cut leaves free, or everything before `end`, is held no longer."""
        gone = cut.free if end is None else end
        self._seen = len(cut.judged) - gone
        self._text = self._text[gone:]
        self._ramp = self._ramp[:-1]

    def keep_all(self, cut: Cut) -> None:
        """Judge it again with what comes: it was cut too early to be sure."""
        self._ramp = []
        self._seen = len(cut.judged)

    def _end(self, text: str, whole: bool, full: bool) -> tuple[int | None, bool]:
        """Where to cut a text that is `whole` as far as the limit reaches."""
        if sentence := SENTENCE.search(text, self._seen):
            return sentence.end(), True
        if not whole:
            return None, False
        spaces = [match.end() for match in SPACE.finditer(text, self._seen)]
        return (spaces[-1] if spaces else len(text)), full

    def _free(self, end: int) -> int:
        weight = 0
        for at in range(end, 0, -1):
            weight += _weight(self._text[at - 1])
            if weight > self._keep:
                return at
        return 0


def _reach(text: str, limit: int) -> int | None:
    """How many characters of the text weigh as much as the limit; None where all of it weighs less."""
    if len(text) * 4 < limit:
        return None
    weight = 0
    for at, char in enumerate(text):
        weight += _weight(char)
        if weight >= limit:
            return at + 1
    return None


def _weight(char: str) -> int:
    return 1 if char.isascii() else 4
