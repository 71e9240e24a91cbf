"""Generated examples: templates with slots, in the files of `phrases/`.

Rule: a template is a family: all it makes is on one side, and so is a choice of a slot. What is made depends on the
seed alone. A frame is a template around another's text: one that condemns what it quotes makes it harmless.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

from trainers.moderation.examples import ALL, FRIENDLY, Example

PHRASES = Path(__file__).parent / "phrases"
HELD_CHOICES = 0.15  # of a slot with at least LARGE choices
LARGE = 10
HARMLESS = ("guarded", "denied")
CALM = 5  # times more often than a kind of harmful deed a harmless one stands in a sentence
OPENERS = ("hey ", "so ", "ok ", "honestly, ", "Hi, ", "well, ", "lol ", "btw ", "look, ", "Hello! ", "um ", "and ")
CLOSERS = (" lol", " please", " thanks", "!!", "...", " haha", " :)", " ok?", " tbh", " now", " today")
SPOKEN = 0.2  # share of texts with an opener or a closer
_SLOT = re.compile(r"\{(\w+)\}")
Slots = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Choices:
    """What slots are filled with: in training, and in measuring alone."""

    known: Slots
    held: Slots


def choices(terms: Slots) -> Choices:
    """Every slot's choices: those written down here, and `terms`; of the larger slots some are held out."""
    lines = [line for line in _lines(PHRASES / "slots.txt") if not line.startswith("#")]
    written = {name: said.strip().split("|") for name, _, said in (line.partition(":") for line in lines)}
    slots = {**written, **terms}
    held = {name: [c for c in found if _held(name, c)] for name, found in slots.items() if len(found) >= LARGE}
    return Choices(
        {name: [c for c in found if c not in held.get(name, [])] for name, found in slots.items()},
        {name: held.get(name) or found for name, found in slots.items()},
    )


def both(found: Choices) -> Slots:
    return {name: list(dict.fromkeys([*found.known[name], *found.held[name]])) for name in found.known}


def harmful(slots: Slots, each: int, seed: int, place: str = "harmful") -> list[Example]:
    """`each` fillings of every harmful template of a file or folder; a section's head names its labels."""
    chance = random.Random(seed)
    return [
        Example(text, frozenset(label.strip() for label in head.split(",")), ALL, "templates", group, template)
        for head, template in _templates(place)
        for text, group in _filled(template, slots, each, chance)
    ]


def benign(slots: Slots, each: int, seed: int, place: str = "benign") -> list[Example]:
    """`each` fillings of every template that sounds alarming but is harmless; its section is in the source's name."""
    chance = random.Random(seed)
    return [
        Example(text, FRIENDLY, ALL, f"benign-{head}", group, template)
        for head, template in _templates(place)
        for text, group in _filled(template, slots, each, chance)
    ]


def written(place: str) -> list[Example]:
    """The lines of a file as they are."""
    return [
        Example(line, frozenset(label.strip() for label in head.split(",") if label.strip()), ALL, "written")
        for head, line in _templates(place)
    ]


def deeds(slots: Slots, count: int, seed: int, held: bool = False) -> list[Example]:
    """`count` texts of each sentence that asks or wishes and each kind of deed; `held`: with the deeds held out."""
    wishes = [("wished", wish) for _, wish in _templates("wishes")]
    return _joined("do", "deeds", [*_templates("asks"), *wishes], slots, count, random.Random(seed), held)


def claims(slots: Slots, count: int, seed: int, held: bool = False) -> list[Example]:
    """`count` texts of each sentence that holds or denies and each kind of claim: it is the sentence that decides."""
    return _joined("claim", "claims", list(_templates("stances")), slots, count, random.Random(seed), held)


def _joined(
    slot: str,
    place: str,
    frames: Sequence[tuple[str, str]],
    slots: Slots,
    count: int,
    chance: random.Random,
    held: bool,
) -> list[Example]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for head, part in _templates(place):
        if _held("deed", part) is held:
            kinds[head].append(part)
    return [
        _done(sort, frame, part, head, _fill(frame.replace(f"{{{slot}}}", chance.choice(found)), slots, chance))
        for sort, frame in frames
        for part, (head, found) in enumerate([*kinds.items(), *[("", kinds[""])] * CALM])
        for _ in range(count)
    ]


def framed(said: Sequence[Example], slots: Slots, count: int, seed: int, place: str = "frames") -> list[Example]:
    """`count` texts of each frame around texts picked from `said`, in the family of the frame."""
    chance = random.Random(seed)
    made = []
    for head, frame in _templates(place):
        for _ in range(count):
            inner = chance.choice(said)
            text = _fill(frame.replace("{said}", "\0"), slots, chance).replace("\0", inner.text)
            made.append(_framed(inner, text, head == "condemned", frame))
    return made


def quotable(found: Sequence[Example]) -> list[Example]:
    """Those that may be quoted: what is said of or to people; a request stays a request inside quotation marks."""
    return [e for e in found if e.labels & {"hate", "harassment"} and len(e.text) < 160 and '"' not in e.text]


def _done(sort: str, frame: str, part: int, head: str, text: str) -> Example:
    """What is asked for or wished is what the deed is; one sentence of self-harm is an intent, the other a question."""
    labels = frozenset(label.strip() for label in head.split(",") if label.strip())
    if sort in HARMLESS or not labels:
        return Example(text, FRIENDLY, ALL, "benign-deeds", family=f"{frame} #{part}")
    if sort == "wished" and "self-harm" in labels:
        labels = frozenset({"self-harm", "self-harm/intent"})
    if sort == "asked" and labels == {"violence"}:
        labels = frozenset({"illicit", "illicit/violent", "violence"})
    return Example(text, labels, ALL, "templates", family=f"{frame} #{part}")


def _framed(inner: Example, text: str, condemned: bool, frame: str) -> Example:
    if condemned:
        return Example(text, FRIENDLY, ALL, "benign-framed", inner.group, frame)
    return replace(inner, text=text, source=f"{inner.source}-framed", family=frame)


def _held(name: str, choice: str) -> bool:
    return crc32(f"{name}:{choice}".encode()) % 1000 < 1000 * HELD_CHOICES


def _filled(template: str, slots: Slots, each: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Different fillings, and the group that each speaks of."""
    made: dict[str, str] = {}
    for _ in range(2 * each):
        if len(made) == each:
            break
        group = chance.choice(slots["group"]) if "{group}" in template else ""
        text = _fill(template.replace("{group}", group), slots, chance)
        made[_spoken(text, chance)] = group
    yield from made.items()


def _fill(template: str, slots: Slots, chance: random.Random) -> str:
    return _SLOT.sub(lambda match: chance.choice(slots[match[1]]), template)


def _spoken(text: str, chance: random.Random) -> str:
    """As people begin a sentence, mostly with a capital letter, and as they chat."""
    text = text[0].upper() + text[1:] if chance.random() < 0.7 else text
    if chance.random() >= SPOKEN:
        return text
    if chance.random() < 0.5:
        return chance.choice(OPENERS) + text[0].lower() + text[1:]
    return text.rstrip(".") + chance.choice(CLOSERS)


def _templates(place: str) -> Iterator[tuple[str, str]]:
    """(section, template) of a file, or of a folder's files in the order of their names."""
    folder, head = PHRASES / place, ""
    for path in sorted(folder.glob("*.txt")) if folder.is_dir() else [PHRASES / f"{place}.txt"]:
        for line in _lines(path):
            if line.startswith("["):
                head = line.strip("[]")
            elif not line.startswith("#"):
                yield head, line


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
