"""What is learnt from what: running text for pretraining, the mixture of dialogues, and the held-out documents.

Rule: a document is held out by the hash of its source and title, so the split is the same on every machine.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from trainers.starter import calls, lexicon, places, sources, stories
from trainers.starter import dialogues as d
from trainers.starter import knowledge as k
from trainers.starter.sources import Document
from trainers.starter.toolbox import Toolbox
from trainers.starter.values import ALWAYS_HELD, Facts, Values

CHATTERBOT_TOPICS = ("conversations", "emotion", "food", "history", "humor", "literature", "science", "sports")


@dataclass(frozen=True, slots=True)
class Corpus:
    """`text` and `held_out` are running text; `makers` are dialogue makers with their shares; `tools` makes dialogues
    with tools, whose arguments are drawn from `facts`."""

    text: tuple[Document, ...]
    held_out: tuple[Document, ...]
    makers: tuple[tuple[d.Maker, float], ...]
    tools: d.Maker
    facts: Facts


def is_held_out(document: Document, share: float = 0.01) -> bool:
    digest = hashlib.sha256(f"{document.source}\n{document.title}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def stories_of(tales: Sequence[sources.Tale]) -> Iterator[Document]:
    for tale in tales:
        yield Document("fairytaleqa", tale.title, "\n".join(tale.sections))


def dictionary_pages(words: lexicon.Lexicon, seen: lexicon.Usage) -> Iterator[Document]:
    """Definitions as sentences, fifty words to a page, so that they read as running text."""
    lines: list[str] = []
    for word in sorted(words.senses, key=lambda w: hashlib.sha256(w.encode()).digest()):
        if seen.words[word] >= 3:
            lines.extend(lexicon.explained(s, seen) for s in words.senses[word][:2] if lexicon.usable(s))
    for start in range(0, len(lines), 50):
        yield Document("wordnet", f"page {start // 50}", "\n".join(lines[start : start + 50]))


def read(data: Path) -> Corpus:
    """Everything the starter is trained on, from the folder whose `text` holds the source files."""
    folder = data / "text"
    tales = tuple(sources.tales(folder))
    prose = [*sources.books(folder), *sources.picture_books(folder), *stories_of(tales)]
    seen = lexicon.usage(p.text for p in prose)
    words = lexicon.load(sources.wordnet_files(folder), seen.words)
    pages = list(sources.countries(folder))
    known = [c for region, page in pages if (c := places.country(region, page)) is not None]
    world = Document("factbook", "countries", "\n".join(k.describe(c) for c in known))
    held_out = tuple(x for x in prose if is_held_out(x))
    kept = (*(x for x in prose if not is_held_out(x)), *dictionary_pages(words, seen), world)
    spared = {x.title for x in held_out}
    told = [x for x in kept if x.short]
    asked = [t for t in tales if t.title not in spared]
    facts = _facts(words, seen, known, [city for _, page in pages for city in places.cities(page)])
    box = Toolbox(Values(facts))
    makers = (*_makers(folder, words, seen, known, told, asked), (calls.unaided(box), 1.5))
    return Corpus(kept, held_out, makers, calls.with_tools(box, _chat(folder, words, seen)), facts)


def _facts(
    words: lexicon.Lexicon, seen: lexicon.Usage, known: Sequence[places.Country], cities: Sequence[str]
) -> Facts:
    nouns = [w for w, _ in seen.words.most_common(6000) if len(w) > 2 and _is_thing(words, w)]
    people = {*d.TALK["names"], *stories.PARTS["girls"], *stories.PARTS["boys"]}
    return Facts(
        tuple(sorted({*cities, *ALWAYS_HELD})), tuple(c.the for c in known), tuple(sorted(people)), tuple(nouns)
    )


def _is_thing(words: lexicon.Lexicon, word: str) -> bool:
    return word.isalpha() and any(s.pos == "noun" for s in words.senses.get(word, ())[:1])


def _chat(folder: Path, words: lexicon.Lexicon, seen: lexicon.Usage) -> d.Maker:
    """What is talked about beside tools, and needs none."""
    makers = (
        (d.small_talk(list(sources.small_talk(folder))), 4.0),
        (k.definitions(words, seen, 3000), 4.0),
        (d.about_itself, 2.0),
        (d.lists, 1.0),
        (d.jokes, 0.7),
        (k.grammar_story, 0.7),
        (k.opposites(words, seen), 1.0),
    )
    return lambda rng: rng.choices([m for m, _ in makers], [w for _, w in makers])[0](rng)


def _makers(
    folder: Path,
    words: lexicon.Lexicon,
    seen: lexicon.Usage,
    known: Sequence[places.Country],
    told: Sequence[Document],
    tales: Sequence[sources.Tale],
) -> tuple[tuple[d.Maker, float], ...]:
    frequent = [w for w, _ in seen.words.most_common(1500) if len(w) > 1]
    return (
        (k.definitions(words, seen, 3000), 32.0),
        (k.opposites(words, seen), 3.0),
        (d.lists, 3.0),
        (d.small_talk(list(sources.small_talk(folder))), 12.0),
        (d.about_itself, 7.0),
        (d.jokes, 1.5),
        (d.haiku, 1.5),
        (k.grammar_story, 11.0),
        (k.true_story(told), 2.0),
        (d.passage_questions(tales), 3.0),
        (k.country_facts(known), 10.0),
        (d.arithmetic, 4.0),
        (d.repeat(frequent), 4.0),
        (d.commands(list(sources.command_pages(folder))), 1.5),
        (d.fixed(list(_chatterbot(folder))), 2.0),
        (d.fixed(list(_tasks(folder))), 1.0),
        (d.fixed(list(_safety(folder))), 1.0),
        (d.fixed(list(_orders(folder))), 0.7),
    )


def _chatterbot(folder: Path) -> Iterator[d.Dialogue]:
    for turns in sources.chatterbot(folder, CHATTERBOT_TOPICS):
        if len(turns) == 2 and all(turns) and len(turns[1]) < 250:
            yield d.single(turns[0], turns[1])


def _tasks(folder: Path) -> Iterator[d.Dialogue]:
    for task in sources.json_lines(folder, "self_instruct_seed_and_user.tar.xz"):
        for case in task["instances"][:3]:
            given, wanted = str(case["input"]).strip(), str(case["output"]).strip()
            if wanted and len(given) + len(wanted) < 700:
                yield d.single(f"{task['instruction']}\n\n{given}".strip(), wanted)


def _safety(folder: Path) -> Iterator[d.Dialogue]:
    for row in sources.json_lines(folder, "caia_ai_safety.tar.xz"):
        turns = tuple((str(t["role"]), sources.plain(str(t["content"]))) for t in row.get("chat", ()))
        if turns and turns[-1][0] == "assistant" and sum(len(t) for _, t in turns) < 1200:
            yield turns


def _orders(folder: Path) -> Iterator[d.Dialogue]:
    for turns in sources.orders(folder):
        ordered = turns and turns[0][0] == "user" and turns[-1][0] == "assistant"
        if ordered and all(t for _, t in turns) and sum(len(t) for _, t in turns) < 1200:
            yield turns


def sample_of(corpus: Corpus, seed: int, count: int) -> list[d.Dialogue]:
    """The first `count` dialogues of the mixture."""
    made = d.stream(corpus.makers, Random(seed))
    return [next(made) for _ in range(count)]
