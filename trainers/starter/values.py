"""What arguments are drawn from: names out of the data, texts put together from phrases, invented words and numbers.

Rule: a twentieth of every list is held out, by the hash of the value; training never draws it as an argument. `held`
draws nothing else. Many names are invented anew each time, so that an argument can only be copied, not remembered.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from trainers.starter.phrases import phrases

TOOLS: dict[str, Any] = phrases("tools")
ALWAYS_HELD = frozenset({"Paris", "Lisbon", "Oslo", "Tokyo", "Nairobi", "Lima", "Toronto", "Athens", "Dublin", "Hanoi"})
LISTS = {
    "sky": "skies", "day": "days", "room": "rooms", "food": "foods", "event": "events", "task": "tasks",
    "message": "messages", "topic": "topics", "title": "titles", "phrase": "phrases", "place": "places",
    "meaning": "meanings", "unit": "units", "currency": "currencies", "language": "languages", "done": "done",
}  # fmt: skip
WHOLE = frozenset({"day", "room", "unit", "done", "sky", "language", "currency"})


def is_held(value: str) -> bool:
    return value in ALWAYS_HELD or hashlib.sha256(value.lower().encode()).digest()[0] < 13


def invented(rng: Random, most: int = 3) -> str:
    """A word that is in no list, in lower case."""
    return "".join(rng.choice(sounds) for _ in range(rng.randint(1, most)) for sounds in TOOLS["sounds"])


@dataclass(frozen=True, slots=True)
class Facts:
    """The lists that come out of the data."""

    cities: tuple[str, ...]
    countries: tuple[str, ...]
    people: tuple[str, ...]
    nouns: tuple[str, ...]


class Values:
    """Draws arguments by kind (`city`, `number`, `title` …); digits behind a kind tell two of one kind apart."""

    def __init__(self, facts: Facts, held: bool = False) -> None:
        self.held = held
        self.facts = {name: self.kept(getattr(facts, name)) for name in ("cities", "countries", "people", "nouns")}
        self.lists = {kind: TOOLS[name] if kind in WHOLE else self.fit(TOOLS[name]) for kind, name in LISTS.items()}
        self.makers: dict[str, Callable[[Random], Any]] = {
            "city": self.city, "person": self.person, "country": self.country, "n": self.noun, "word": self.noun,
            "N": lambda rng: self.noun(rng).capitalize(), "number": number, "big": big, "sum": expression,
            "clock": clock, "temp": lambda rng: rng.randint(-9, 38), "count": lambda rng: rng.randint(2, 60),
            "decimal": lambda rng: round(rng.uniform(1, 2000), rng.choice((1, 2))), "code": code, "phone": phone,
            "onoff": lambda rng: rng.choice(("on", "off")), "symbol": symbol, "file": self.file, "site": self.site,
            "folder": self.folder, "address": self.address, "foreign": foreign, "date": date,
        }  # fmt: skip

    def kept(self, values: Sequence[str]) -> list[str]:
        return [v for v in values if is_held(v) == self.held]

    def fit(self, values: Sequence[str]) -> Sequence[str]:
        """Texts with gaps are all kept: what fills the gaps is held out. Of the others a part is."""
        return [v for v in values if "{" in v or is_held(v) == self.held]

    def draw(self, kind: str, rng: Random) -> Any:
        kind = kind.rstrip("0123456789")
        if kind in self.makers:
            return self.makers[kind](rng)
        return self.filled(rng.choice(self.lists[kind]), rng)

    def filled(self, text: str, rng: Random) -> str:
        """The text with every gap filled by a value of the kind that the gap names."""
        while "{" in text:
            before, _, rest = text.partition("{")
            kind, _, after = rest.partition("}")
            text = f"{before}{self.draw(kind, rng)}{after}"
        return text

    def city(self, rng: Random) -> str:
        if not self.held and rng.random() < 0.3:
            return invented(rng).capitalize()
        return rng.choice(self.facts["cities"])

    def country(self, rng: Random) -> str:
        return rng.choice(self.facts["countries"])

    def person(self, rng: Random) -> str:
        first = rng.choice(self.facts["people"]) if self.held or rng.random() < 0.25 else invented(rng, 2).capitalize()
        return f"{first} {invented(rng).capitalize()}" if rng.random() < 0.3 else first

    def noun(self, rng: Random) -> str:
        return invented(rng) if not self.held and rng.random() < 0.08 else rng.choice(self.facts["nouns"])

    def file(self, rng: Random) -> str:
        name = self.noun(rng) + rng.choice(("", "", "", str(rng.randint(1, 99)), f"_{self.noun(rng)}"))
        folder = f"{self.folder(rng)}/" if rng.random() < 0.35 else ""
        return f"{folder}{name}.{rng.choice(TOOLS['extensions'])}"

    def folder(self, rng: Random) -> str:
        first = rng.choice(TOOLS["folders"]) if not self.held and rng.random() < 0.4 else self.noun(rng)
        return rng.choice(("", "", "/", "./")) + first + rng.choice(("", "", f"/{self.noun(rng)}"))

    def site(self, rng: Random) -> str:
        return f"{self.noun(rng)}.{rng.choice(('com', 'org', 'net', 'info'))}"

    def address(self, rng: Random) -> str:
        return f"{self.person(rng).replace(' ', '.').lower()}@{rng.choice(TOOLS['domains'])}"


def number(rng: Random) -> int | float:
    if rng.random() < 0.12:
        return round(rng.uniform(0, 100), 1)
    return rng.randint(0, 10 ** rng.choice((1, 2, 2, 3, 4)))


def big(rng: Random) -> int:
    return rng.randint(1, 10 ** rng.randint(1, 6))


def expression(rng: Random) -> str:
    text = str(rng.randint(1, 999))
    for _ in range(rng.choice((1, 1, 1, 2))):
        gap = "" if rng.random() < 0.25 else " "
        text += f"{gap}{rng.choice('+-*/')}{gap}{rng.randint(1, 99)}"
    return text


def clock(rng: Random) -> str:
    if rng.random() < 0.3:
        return f"{rng.randint(1, 12)} {rng.choice(('am', 'pm'))}"
    return f"{rng.randint(0, 23)}:{rng.randint(0, 59):02}"


def code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.randint(1, 3)))
    return f"{letters}{rng.choice(('', '-'))}{rng.randint(10, 99999)}"


def symbol(rng: Random) -> str:
    return "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.choice((3, 4, 4))))


def phone(rng: Random) -> str:
    return f"{rng.randint(100, 999)} {rng.randint(1000, 999999)}"


def foreign(rng: Random) -> str:
    return " ".join(invented(rng, 2) for _ in range(rng.randint(1, 3)))


def date(rng: Random) -> str:
    return f"{rng.randint(1, 28)} {rng.choice(TOOLS['months'])}"
