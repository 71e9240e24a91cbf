"""Short stories for any hero, from a small grammar of plots.

Rule: `told` is a pure function of the hero and the random generator; a story has a beginning, a middle and an end.
"""

from dataclasses import dataclass
from random import Random

from trainers.starter.lexicon import article
from trainers.starter.phrases import phrases

PARTS = phrases("stories")
HEROES: tuple[str, ...] = (*PARTS["animals"], *PARTS["people"])


@dataclass(frozen=True, slots=True)
class Hero:
    """`noun` without article; `name` may be empty."""

    noun: str
    name: str
    he: str
    him: str
    his: str

    @property
    def the(self) -> str:
        return self.name or f"the {self.noun}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def hero(noun: str, rng: Random, name: str | None = None) -> Hero:
    """A hero with the pronouns that fit; without `name` a name is given now and then."""
    last = noun.split()[-1]
    she = last in PARTS["she"] or (last not in PARTS["he"] and rng.random() < 0.5)
    given = name
    if given is None:
        given = rng.choice(PARTS["girls" if she else "boys"]) if rng.random() < 0.4 else ""
    return Hero(noun, given, *(("she", "her", "her") if she else ("he", "him", "his")))


def opening(who: Hero, rng: Random, good: str) -> str:
    place = rng.choice(PARTS["places"])
    called = f" called {who.name}" if who.name else ""
    first = rng.choice(("Once upon a time there was", "There was once", "Once there lived"))
    verb = "" if first.endswith("lived") else " who lived"
    noun = f"{good} {who.noun}" if good else who.noun
    return f"{first} {article(noun)} {noun}{called}{verb} {place}."


def words_of(w: Hero, o: Hero, rng: Random) -> dict[str, str]:
    """What stands in the gaps of a plot: w the hero, o the other one, and things drawn at random."""
    thing = rng.choice(PARTS["things"])
    bare = thing.split(" ", 1)[1]
    other = f"{article(o.noun)} {o.noun}"
    heroes = {"w": w.the, "W": capital(w.the), "he": w.he, "him": w.him, "o": o.the, "O": capital(o.the), "ohis": o.his}
    things = {"thing": thing, "it": f"the {bare}", "mine": f"my {bare}", "food": rng.choice(PARTS["foods"])}
    return {**heroes, **things, "ao": other, "Ao": capital(other), "skill": rng.choice(PARTS["skills"])}


def told(noun: str, rng: Random, name: str | None = None, other: str | None = None, good: str | None = None) -> str:
    """A story of 60 to 130 words about a (`good`) `noun`, who meets `other`."""
    first = hero(noun, rng, name)
    second = hero(other or rng.choice([h for h in PARTS["animals"] if h != noun]), rng, "")
    fit = [g for g in PARTS["good"] if not (g in ("little", "young", "small") and noun.startswith("old"))]
    begin = opening(first, rng, rng.choice(fit) if good is None else good)
    return f"{begin} {rng.choice(PARTS['plots']).format(**words_of(first, second, rng))} {rng.choice(PARTS['endings'])}"
