"""Countries as the factbook describes them, in words that fit into sentences.

Rule: pure functions over one page of the factbook; what a page does not say stays empty.
"""

import re
from dataclasses import dataclass
from typing import Any

from trainers.starter.lexicon import listed
from trainers.starter.sources import markup_free


@dataclass(frozen=True, slots=True)
class Country:
    """A page of the factbook, in words; empty where the page is silent."""

    name: str
    continent: str
    capital: str
    people: str
    languages: str
    neighbours: tuple[str, ...]
    highest: str
    products: str
    adjective: str

    @property
    def the(self) -> str:
        """The name as it stands inside a sentence."""
        needs = re.search(r"(Islands|Republic|States|Netherlands|Philippines|Kingdom|Emirates|Maldives)$", self.name)
        return f"the {self.name}" if needs else self.name.replace("The ", "the ")


RENAMED = {"Turkey (Turkiye)": "Turkey", "Turkiye": "Turkey", "DRC": "Congo", "The Dominican": "Dominican Republic"}
CONTINENTS = {
    "africa": "Africa",
    "australia-oceania": "Oceania",
    "central-america-n-caribbean": "Central America",
    "central-asia": "Asia",
    "east-n-southeast-asia": "Asia",
    "europe": "Europe",
    "middle-east": "the Middle East",
    "north-america": "North America",
    "south-america": "South America",
    "south-asia": "Asia",
}


def _at(page: dict[str, Any], *path: str) -> str:
    value: Any = page
    for key in path:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    return markup_free(value) if isinstance(value, str) else ""


def cities(page: dict[str, Any]) -> tuple[str, ...]:
    """Cities and ports that the page names, the capital first."""
    capital = re.split(r"[;(,]", _at(page, "Government", "Capital", "name", "text"))[0].strip()
    urban = _at(page, "People and Society", "Major urban areas - population", "text")
    large = [
        name.strip().title() for name in re.findall(r"(?:million|[\d,]{5,}) ([A-Z][A-Z .'-]+?)(?= \(|;|,|$)", urban)
    ]
    ports = [name.strip() for name in _at(page, "Transportation", "Ports", "key ports", "text").split(",")]
    return tuple(name for name in (capital, *large, *ports) if re.fullmatch(r"[A-Z][A-Za-z '.-]{2,24}", name))


def rounded(count: str) -> str:
    """`68,512,806 (2025 est.)` -> `69 million`; empty below ten thousand."""
    found = re.match(r"[\d,]+", count)
    people = int(found[0].replace(",", "")) if found else 0
    if people >= 10_000_000:
        return f"{round(people / 1e6)} million"
    if people >= 950_000:
        return f"{people / 1e6:.1f} million".replace(".0 ", " ")
    return f"{round(people, -3):,}" if people >= 10_000 else ""


def country(region: str, page: dict[str, Any]) -> Country | None:
    """None for places without a short name or a capital in the expected form."""
    name = _at(page, "Government", "Country name", "conventional short form", "text")
    capital = re.split(r"[;(,]", _at(page, "Government", "Capital", "name", "text"))[0].strip()
    if not re.fullmatch(r"[A-Z][\w '.-]+", name) or name == "none" or not capital or len(capital) > 25:
        return None
    tongues = re.sub(r"\([^)]*\)", "", _at(page, "People and Society", "Languages", "Languages", "text"))
    borders = _at(page, "Geography", "Land boundaries", "border countries", "text")
    top = re.match(r"([A-Z][\w' .-]+?) [\d,]+", _at(page, "Geography", "Elevation", "highest point", "text"))
    goods = re.sub(r"\([^)]*\)", "", _at(page, "Economy", "Agricultural products", "text"))
    return Country(
        RENAMED.get(name, name),
        CONTINENTS[region],
        capital,
        rounded(_at(page, "People and Society", "Population", "total", "text")),
        listed([m for part in re.split(r"[,;]", tongues)[:3] for m in re.findall(r"^\s*([A-Z][a-z]+)\b", part)][:2]),
        tuple(re.findall(r"([A-Z][A-Za-z' .-]+?) [\d,.]+ km", borders))[:4],
        top[1] if top else "",
        listed([g.strip() for g in goods.split(",") if g.strip()][:3]),
        _at(page, "People and Society", "Nationality", "adjective", "text").split(" ")[0].split(",")[0],
    )
