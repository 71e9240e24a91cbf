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
_CARD = re.compile(r"__([\w\-./*]+?)__")
_CHOICE = re.compile(r"\{([^{}]*)\}")


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


def expand(text: str, cards: Mapping[str, Sequence[str]], chance: Callable[[], float]) -> str:
    """`__name__` becomes a line of that card, `__dir/*__` one of any card so named, `{a|b:2|c}` one of these, by
    weight. `chance` gives 0 to 1. What names no card stays. Raises Invalid when it grows without end."""
    for _ in range(DEEPEST):
        before = text
        text = _CARD.sub(lambda match: _line(match, cards, chance), text)
        text = _CHOICE.sub(lambda match: _chosen(match[1], chance), text)
        if len(text) > LONGEST:
            raise Invalid(f"the prompt is longer than {LONGEST} characters with its wildcards", field="prompt")
        if text == before:
            return text
    return text


def _line(match: re.Match[str], cards: Mapping[str, Sequence[str]], chance: Callable[[], float]) -> str:
    lines = [line for name in sorted(cards) if fnmatchcase(name, match[1]) for line in cards[name]]
    return lines[_index(chance, len(lines))] if lines else match[0]


def _chosen(inside: str, chance: Callable[[], float]) -> str:
    if "|" not in inside:
        return "{" + inside + "}" if inside == "prompt" else inside
    choices = [_weighed(choice) for choice in inside.split("|")]
    at = chance() * sum(weight for _, weight in choices)
    for text, weight in choices:
        at -= weight
        if at < 0:
            return text
    return choices[-1][0]


def _weighed(choice: str) -> tuple[str, float]:
    text, colon, number = choice.rpartition(":")
    try:
        return (text, max(0.0, float(number))) if colon else (choice, 1.0)
    except ValueError:
        return choice, 1.0


def _index(chance: Callable[[], float], count: int) -> int:
    return min(count - 1, int(chance() * count))
