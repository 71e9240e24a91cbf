"""Generated examples: templates with slots, in the files of `phrases/`.

Rule: a template is a family: all it makes is in one split. What it makes depends on the seed alone.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainers.moderation.examples import ALL, FRIENDLY, Example

PHRASES = Path(__file__).parent / "phrases"
_SLOT = re.compile(r"\{(\w+)\}")
Slots = Mapping[str, Sequence[str]]


def slots(terms: Slots) -> dict[str, Sequence[str]]:
    """Every slot's choices: those written down here, and `terms`."""
    lines = [line for line in _lines("slots.txt") if not line.startswith("#")]
    written = {name: choices.strip().split("|") for name, _, choices in (line.partition(":") for line in lines)}
    return {**written, **terms}


def harmful(choices: Slots, each: int, seed: int) -> list[Example]:
    """`each` fillings of every harmful template; a section's head names its labels."""
    chance = random.Random(seed)
    return [
        Example(text, frozenset(label.strip() for label in head.split(",")), ALL, "templates", group, template)
        for head, template in _templates("harmful.txt")
        for text, group in _filled(template, choices, each, chance)
    ]


def benign(choices: Slots, each: int, seed: int, file: str = "benign.txt") -> list[Example]:
    """`each` fillings of every template that sounds alarming but is harmless; its section is in the source's name."""
    chance = random.Random(seed)
    return [
        Example(text, FRIENDLY, ALL, f"benign-{head}", group, template)
        for head, template in _templates(file)
        for text, group in _filled(template, choices, each, chance)
    ]


def _filled(template: str, choices: Slots, each: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Different fillings, and the group that each speaks of."""
    made: dict[str, str] = {}
    for _ in range(4 * each):
        if len(made) == each:
            break
        group = chance.choice(choices["group"]) if "{group}" in template else ""
        text = _SLOT.sub(lambda m, g=group: g if m[1] == "group" else chance.choice(choices[m[1]]), template)  # type: ignore[misc]
        made[_capital(text, chance)] = group
    yield from made.items()


def _capital(text: str, chance: random.Random) -> str:
    """As people begin a sentence: mostly with a capital letter."""
    return text[0].upper() + text[1:] if chance.random() < 0.7 else text


def _templates(file: str) -> Iterator[tuple[str, str]]:
    head = ""
    for line in _lines(file):
        if line.startswith("["):
            head = line.strip("[]")
        elif not line.startswith("#"):
            yield head, line


def _lines(file: str) -> list[str]:
    return [line for line in (PHRASES / file).read_text(encoding="utf-8").splitlines() if line.strip()]
