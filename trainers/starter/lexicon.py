"""Words: what Open English WordNet says about them, put into plain sentences.

Rule: pure functions over loaded entries and word counts; a word has one answer, so that it is learnt and not averaged.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

POS = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective"}
DETERMINERS = frozenset(
    [
        "a",
        "an",
        "the",
        "any",
        "one",
        "some",
        "someone",
        "something",
        "somebody",
        "anyone",
        "anything",
        "each",
        "all",
        "that",
        "what",
        "two",
        "several",
        "either",
        "those",
        "every",
        "people",
        "persons",
        "persons'",
        "more",
        "most",
        "his",
        "her",
        "no",
        "many",
        "various",
        "both",
        "three",
        "four",
    ]
)
HEAD_ENDS = frozenset(
    [
        "that",
        "which",
        "who",
        "whose",
        "where",
        "when",
        "of",
        "with",
        "in",
        "for",
        "used",
        "having",
        "from",
        "to",
        "by",
        "on",
        "at",
        "as",
        "and",
        "or",
        "made",
        "between",
        "among",
        "consisting",
        "usually",
        "especially",
        "such",
        "containing",
        "given",
        "using",
        "under",
        "during",
        "not",
        "after",
        "before",
        "without",
        "into",
        "about",
        "over",
        "than",
        "bearing",
        "characterized",
        "covered",
        "formed",
        "produced",
        "related",
        "resembling",
        "taken",
        "worn",
        "held",
        "designed",
        "living",
        "located",
        "belonging",
        "found",
        "intended",
        "serving",
        "designating",
        "providing",
        "marked",
        "forming",
        "giving",
        "including",
        "being",
        "like",
        "through",
        "within",
        "worn",
        "but",
        "typically",
        "often",
        "so",
        "along",
        "caused",
        "kept",
        "extending",
        "placed",
        "situated",
        "growing",
        "set",
        "working",
        "held",
        "native",
        "against",
        "whether",
        "how",
        "performed",
        "required",
        "involving",
        "composed",
        "occurring",
        "relating",
        "because",
        "done",
        "if",
        "attached",
        "or,",
        "put",
        "next",
    ]
)
COUNTED = frozenset(
    [
        "animal",
        "artifact",
        "person",
        "plant",
        "body",
        "object",
        "shape",
        "communication",
        "event",
        "group",
        "location",
        "Tops",
    ]
)


@dataclass(frozen=True, slots=True)
class Sense:
    """`field` is WordNet's lexicographer file (`animal`, `artifact`, …), without the part of speech."""

    word: str
    pos: str
    field: str
    definition: str
    examples: tuple[str, ...]
    synonyms: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`senses[word]`: its senses, the main part of speech first; `kinds[word]`: what is a kind of it."""

    senses: dict[str, tuple[Sense, ...]]
    opposites: dict[str, str]
    kinds: dict[str, tuple[str, ...]]


def article(word: str) -> str:
    """`a` or `an`, by the sound the word begins with."""
    if re.match(r"(?i)(hour|hono|heir)", word):
        return "an"
    if re.match(r"(?i)(uni([^mn]|$)|use|usu|eu|ewe|one\b|once|ute|u[krt]\w*[aeio]$)", word):
        return "a"
    return "an" if word[:1].lower() in "aeiou" else "a"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def plural(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def load(files: Iterable[tuple[str, dict[str, Any]]], common: Counter[str]) -> Lexicon:
    """Lexicon of the single words of letters that occur in `common`."""
    entries: dict[str, dict[str, Any]] = {}
    synsets: dict[str, tuple[str, dict[str, Any]]] = {}
    for stem, content in files:
        if stem.startswith("entries-"):
            entries.update((w, e) for w, e in content.items() if w.isalpha() and w.islower() and common[w])
        else:
            synsets.update((key, (stem.partition(".")[2], value)) for key, value in content.items())
    senses = {word: tuple(_senses(word, entry, synsets)) for word, entry in entries.items()}
    return Lexicon({w: s for w, s in senses.items() if s}, dict(_opposites(entries)), _kinds(synsets, common))


def _senses(word: str, entry: dict[str, Any], synsets: dict[str, tuple[str, dict[str, Any]]]) -> Iterable[Sense]:
    parts = [p for p in entry if p in POS]
    for part in sorted(parts, key=lambda p: (-len(entry[p]["sense"]), "nav".find(p))):
        for sense in entry[part]["sense"]:
            if sense["synset"] in synsets and "exemplifies" not in sense:
                yield _sense(word, POS[part], synsets, sense["synset"])


def _sense(word: str, pos: str, synsets: dict[str, tuple[str, dict[str, Any]]], key: str) -> Sense:
    field, synset = synsets[key]
    above = synset.get("hypernym", [""])[0]
    kind = synsets[above][1]["members"][0] if above in synsets else ""
    others = tuple(m for m in synset["members"] if m != word and m.isalpha() and m.islower())
    examples = tuple(e for e in synset.get("example", ()) if isinstance(e, str) and word in e.lower())
    return Sense(word, pos, field, str(synset["definition"][0]), examples, others, kind)


def _opposites(entries: dict[str, dict[str, Any]]) -> Iterable[tuple[str, str]]:
    for word, entry in entries.items():
        for part in (p for p in "asvn" if p in entry):
            found = [a for s in entry[part]["sense"][:3] for a in s.get("antonym", ())]
            other = found[0].partition("%")[0] if found else ""
            if other.isalpha() and other != word:
                yield word, other
                break


def _kinds(synsets: dict[str, tuple[str, dict[str, Any]]], common: Counter[str]) -> dict[str, tuple[str, ...]]:
    """Direct and second-level hyponyms that are common words, by the first word of the upper synset."""
    below: dict[str, list[str]] = {}
    for key, (field, synset) in synsets.items():
        for above in synset.get("hypernym", ()) if field != "person" else ():
            below.setdefault(above, []).append(key)
    found = {}
    for above, keys in below.items():
        deep = keys + [k for key in keys for k in below.get(key, ())]
        words = dict.fromkeys(m for k in deep for m in synsets[k][1]["members"][:1] if common[m] > 8 and m.isalpha())
        if above in synsets and len(words) >= 4:
            found[synsets[above][1]["members"][0]] = tuple(sorted(words, key=lambda w: -common[w]))
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """How nouns are used in running text: how often at all, after a/an, after the, as a plural."""

    words: Counter[str]
    after_a: Counter[str]
    after_the: Counter[str]

    def countable(self, noun: str, otherwise: bool) -> bool:
        seen = self.words[noun]
        return self.after_a[noun] > 0.03 * seen if seen >= 8 else otherwise

    def unique(self, noun: str) -> bool:
        """Said with `the` and hardly with `a`: the ocean, the moon."""
        return self.after_the[noun] > 0.45 * self.words[noun] and self.after_the[noun] > 12 * self.after_a[noun]


def usage(texts: Iterable[str]) -> Usage:
    words: Counter[str] = Counter()
    after: dict[str, Counter[str]] = {"a": Counter(), "the": Counter()}
    for text in texts:
        found = re.findall(r"[a-z]+", text.lower())
        words.update(found)
        for before, word in pairwise(found):
            if before in ("a", "an"):
                after["a"][word] += 1
            elif before == "the":
                after["the"][word] += 1
    return Usage(words, after["a"], after["the"])


def short_definition(text: str) -> str:
    """Without remarks in parentheses, and only up to the first semicolon."""
    text = re.sub(r"\([^)]*\)", "", text).partition(";")[0].partition(" -- ")[0]
    return " ".join(text.replace(" ,", ",").split()).rstrip(" .,:")


def named(noun: str, sense: Sense, seen: Usage) -> str:
    """The noun as it is asked for: `a cat`, `the ocean`, `water`."""
    if sense.field in ("object", "location", "event", "time", "phenomenon") and seen.unique(noun):
        return f"the {noun}"
    return f"{article(noun)} {noun}" if seen.countable(noun, sense.field in COUNTED) else noun


def head_of(definition: str) -> str:
    """The noun that a defining phrase is about: `feline mammal usually having …` -> `mammal`."""
    words: list[str] = re.findall(r"[\w'-]+,?", definition)
    for place, word in enumerate(words):
        if word.endswith(","):
            return word.rstrip(",")
        if place and word in HEAD_ENDS:
            return words[place - 1]
    return words[-1]


def noun_phrase(definition: str, seen: Usage) -> str:
    """The definition with the article it lacks, if its head is a noun that takes one."""
    first = definition.split()[0].rstrip(",")
    if first.lower() in DETERMINERS or first.endswith(("'s", "ing")):
        return definition
    head = head_of(definition)
    many = head.endswith("s") and not head.endswith(("ss", "us", "is"))
    if many or not seen.countable(head, True):
        return definition
    return f"{article(first)} {definition}"


def meaning(sense: Sense, seen: Usage) -> str:
    """One sentence: `A cat is a feline mammal …`, `To run means to move fast …`, `Brave means …`."""
    short = short_definition(sense.definition)
    if sense.pos == "noun":
        subject = named(sense.word, sense, seen)
        return f"{subject[0].upper()}{subject[1:]} is {noun_phrase(short, seen)}."
    if sense.pos == "verb":
        return f"To {sense.word} means to {short}."
    return f"{sense.word.capitalize()} means {short}."


def usable(sense: Sense) -> bool:
    short = short_definition(sense.definition)
    return 12 <= len(short) <= 130 and not re.search(r"\d{3}|[`:]", short)


def example_of(sense: Sense) -> str:
    """One example in a sentence of its own, or nothing."""
    fit = [e for e in sense.examples if 15 <= len(e) <= 70 and e.count('"') == 0]
    return f' For example: "{fit[0].rstrip(".")}."' if fit else ""


def explained(sense: Sense, seen: Usage) -> str:
    return meaning(sense, seen) + example_of(sense)
