"""Dialogues about words, countries and stories: the makers that need the dictionary, the factbook and the story books.

Rule: as in dialogues.py, a maker is pure; a word explained in the plain facts is never explained by the dictionary.
"""

from collections.abc import Sequence
from random import Random

from trainers.starter import stories
from trainers.starter.dialogues import ASKED, FACTS, Dialogue, Maker, asked, single
from trainers.starter.lexicon import Lexicon, Usage, article, explained, listed, named, plural, usable
from trainers.starter.places import Country
from trainers.starter.sources import Document


def definitions(lexicon: Lexicon, seen: Usage, most: int) -> Maker:
    """Words explained: `most` common words, the commoner the oftener, and in three of ten dialogues a plain fact."""
    words = [w for w, _ in seen.words.most_common() if len(w) > 2 and w in lexicon.senses and w not in plain_words()]
    chosen = [next((s for s in lexicon.senses[w] if usable(s)), None) for w in words[:most]]
    senses = [s for s in chosen if s is not None]
    weights = [seen.words[s.word] ** 0.3 * (2.0 if s.pos == "noun" else 1.0) for s in senses]

    def make(rng: Random) -> Dialogue:
        if rng.random() < 0.3:
            return plain_fact(rng)
        sense = rng.choices(senses, weights)[0]
        if sense.pos == "noun":
            question = asked(ASKED["noun"], rng, bare=sense.word, the=named(sense.word, sense, seen))
        else:
            forms = (*ASKED["word"], *ASKED["verb"]) if sense.pos == "verb" else ASKED["word"]
            question = asked(forms, rng, w=sense.word)
        return single(question, explained(sense, seen))

    return make


def without_article(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if first in ("a", "an", "the") else name


def plain_words() -> frozenset[str]:
    return frozenset(without_article(name) for name in FACTS["things"]) | frozenset(FACTS["qualities"])


def plain_fact(rng: Random) -> Dialogue:
    if rng.random() < 0.22:
        word, text = rng.choice(list(FACTS["qualities"].items()))
        return single(asked(ASKED["word"], rng, w=word), text)
    name, text = rng.choice(list(FACTS["things"].items()))
    bare = without_article(name)
    works = bare in FACTS["workers"] and rng.random() < 0.4
    return single(asked(ASKED["work" if works else "noun"], rng, bare=bare, the=name), text)


def opposites(lexicon: Lexicon, seen: Usage) -> Maker:
    common = {w: o for w, o in lexicon.opposites.items() if seen.words[w] > 60 and seen.words[o] > 20}
    known: dict[str, str] = {**common, **FACTS["opposites"]}

    def make(rng: Random) -> Dialogue:
        word = rng.choice(list(FACTS["opposites"] if rng.random() < 0.7 else known))
        return single(asked(ASKED["opposite"], rng, w=word), f"The opposite of {word} is {known[word]}.")

    return make


def grammar_story(rng: Random) -> Dialogue:
    """A story by the grammar of plots, asked for by its hero in one of five ways."""
    noun = rng.choice(stories.HEROES)
    roll = rng.random()
    if roll < 0.1:
        return single(asked(ASKED["any_story"], rng), stories.told(noun, rng))
    if roll < 0.35:
        return two_heroes(noun, rng)
    if roll < 0.5:
        who = stories.hero(noun, rng, rng.choice(stories.PARTS["girls"] + stories.PARTS["boys"]))
        called = f"{article(noun)} {noun} {rng.choice(('called', 'named'))} {who.name}"
        return single(asked(ASKED["story"], rng, x=called), stories.told(noun, rng, who.name))
    if roll < 0.55:
        many = plural(noun).replace("mans", "men").replace("childs", "children").replace("mouses", "mice")
        return single(asked(ASKED["story"], rng, x=many), stories.told(noun, rng, ""))
    good = rng.choice(stories.PARTS["good"]) if rng.random() < 0.4 and not noun.startswith("old") else None
    full = f"{good} {noun}" if good else noun
    return single(asked(ASKED["story"], rng, x=f"{article(full)} {full}"), stories.told(noun, rng, good=good))


def two_heroes(noun: str, rng: Random) -> Dialogue:
    other = rng.choice([h for h in stories.HEROES if h != noun])
    good = rng.choice(stories.PARTS["good"]) if rng.random() < 0.4 and not noun.startswith("old") else None
    full = f"{good} {noun}" if good else noun
    both = f"{article(full)} {full} and {article(other)} {other}"
    return single(asked(ASKED["story"], rng, x=both), stories.told(noun, rng, other=other, good=good))


def true_story(told: Sequence[Document]) -> Maker:
    """Fables and picture book stories, asked for by a hero that their title or beginning names."""
    known = []
    for story in told:
        words = (story.title + " " + story.text[:200]).lower().split()
        heroes = [h for h in stories.HEROES if h in words or plural(h) in words]
        if heroes:
            known.append((heroes, story.text.replace("\n\n", "\n")))

    def make(rng: Random) -> Dialogue:
        heroes, text = rng.choice(known)
        hero = rng.choice(heroes)
        return single(asked(ASKED["fable"], rng, x=f"{article(hero)} {hero}"), text)

    return make


def country_facts(known: Sequence[Country]) -> Maker:
    """Capitals, short descriptions and single facts; the sixty most populous countries three times as often."""
    populous = sorted(known, key=lambda c: -float(c.people.split()[0]) if c.people.endswith("million") else 0.0)
    weights = [3.0 if place < 60 else 1.0 for place in range(len(populous))]

    def make(rng: Random) -> Dialogue:
        c = rng.choices(populous, weights)[0]
        roll = rng.random()
        if roll < 0.45:
            return single(asked(ASKED["capital"], rng, x=c.the), f"The capital of {c.the} is {c.capital}.")
        if roll < 0.75:
            return single(asked(ASKED["country"], rng, x=c.the), describe(c))
        kind, answer = rng.choice(single_facts(c))
        return single(asked(ASKED[kind], rng, x=c.the, y=c.capital), answer)

    return make


def describe(c: Country) -> str:
    parts = [f"{stories.capital(c.the)} is a country in {c.continent}. Its capital is {c.capital}."]
    if c.people:
        parts.append(f"About {c.people} people live there.")
    if c.languages:
        parts.append(f"People speak {c.languages}.")
    return " ".join(parts)


def single_facts(c: Country) -> list[tuple[str, str]]:
    """(kind of question, answer)."""
    the = stories.capital(c.the)
    facts = (
        ("continent", f"{the} is in {c.continent}.", c.continent),
        ("capital_of", f"{c.capital} is the capital of {c.the}.", c.capital),
        ("language", f"People in {c.the} speak {c.languages}.", c.languages),
        ("population", f"About {c.people} people live in {c.the}.", c.people),
        ("borders", f"{the} borders {listed(c.neighbours)}.", " ".join(c.neighbours)),
        ("farm", f"{the} produces {c.products}.", c.products),
    )
    return [(kind, answer) for kind, answer, known in facts if known]
