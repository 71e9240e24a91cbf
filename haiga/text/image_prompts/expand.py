"""Wildcards and styles: what a prompt stands for before it is read.

Rule: chance comes in as an argument, so that a seed expands a prompt the same way each time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from haiga.core.errors import Invalid

DEEPEST = 10  # expansions of what an expansion brought
LONGEST = 20_000  # characters
PATTERNS = 8  # different ones of one deck
_CARD = re.compile(r"__([\w\-./*]+?)__")
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_WEIGHT = re.compile(r"\s*(\d+(?:\.\d+)?)::(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Style:
    """A prompt to put another into: where `{prompt}` stands, or behind it."""

    name: str
    prompt: str = ""
    negative: str = ""


def styled(prompt: str, negative: str, styles: Sequence[Style]) -> tuple[str, str]:
    """Both prompts within the styles, one after the other."""
    for style in styles:
        prompt, negative = _within(style.prompt, prompt), _within(style.negative, negative)
    return prompt, negative


def _within(style: str, text: str) -> str:
    if "{prompt}" in style:
        return style.replace("{prompt}", text)
    return ", ".join(piece for piece in (text.strip(), style.strip()) if piece)


class Deck:
    """Lines by the names of the cards that they are on. A pattern is looked for once."""

    def __init__(self, cards: Mapping[str, Sequence[str]]) -> None:
        self._cards = cards
        self._found: dict[str, list[str]] = {}

    def lines(self, name: str) -> Sequence[str]:
        """Those of the card, or of all that a pattern with `*` names. Raises Invalid for too many patterns."""
        if "*" not in name:
            return self._cards.get(name, ())
        if name not in self._found and len(self._found) == PATTERNS:
            raise Invalid(f"there are more than {PATTERNS} different wildcards with *", field="prompt")
        if name not in self._found:
            cards = [card for card in sorted(self._cards) if fnmatchcase(card, name)]
            self._found[name] = [line for card in cards for line in self._cards[card]]
        return self._found[name]


def may_expand(text: str) -> bool:
    """Whether there is anything in it that could name a card, or be a choice."""
    return bool(_CARD.search(text) or _CHOICE.search(text))


def expand(text: str, deck: Deck, chance: Callable[[], float]) -> str:
    """`__name__` becomes a line of that card, `__dir/*__` one of any card so named, `{a|2::b|c:3}` one of these, by
    weight. `chance` gives 0 to 1. What names no card stays, as do braces without a choice. Raises Invalid when it grows
    without end, and as the deck."""
    for _ in range(DEEPEST):
        before = text
        text = _CARD.sub(lambda match: _line(match, deck, chance), text)
        text = _CHOICE.sub(lambda match: _chosen(match[1], chance), text)
        if text == before:
            return text
        if len(text) > LONGEST:
            raise Invalid(f"the prompt is longer than {LONGEST} characters with its wildcards", field="prompt")
    return text


def _line(match: re.Match[str], deck: Deck, chance: Callable[[], float]) -> str:
    lines = deck.lines(match[1])
    return lines[_index(chance, len(lines))] if lines else match[0]


def _chosen(inside: str, chance: Callable[[], float]) -> str:
    choices = [_weighed(choice) for choice in inside.split("|")]
    at = chance() * sum(weight for _, weight in choices)
    for text, weight in choices:
        at -= weight
        if at < 0:
            return text
    return choices[-1][0]


def _weighed(choice: str) -> tuple[str, float]:
    if before := _WEIGHT.fullmatch(choice):
        return before[2], float(before[1])
    text, colon, number = choice.rpartition(":")
    try:
        return (text, max(0.0, float(number))) if colon else (choice, 1.0)
    except ValueError:
        return choice, 1.0


def _index(chance: Callable[[], float], count: int) -> int:
    return min(count - 1, int(chance() * count))
