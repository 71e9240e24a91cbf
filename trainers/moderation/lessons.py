"""What an epoch shows: a fresh pick of the texts, some of them disguised, some beside others.

Rule: what is done to a text leaves its labels true: two texts in one have the labels of both, and are known to have
none that is unknown of either.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haiga.text.grams import Grams
from haiga.text.words import words
from trainers.moderation.disguise import KINDS, disguised
from trainers.moderation.examples import ALL, Example
from trainers.moderation.network import Shape

NOTHING = "<nothing>"


@dataclass(frozen=True, slots=True)
class Mixing:
    single: float = 0.6  # share of the texts without a family that an epoch shows
    each: int = 2  # fillings of a family in an epoch, of one kind of labels
    disguised: float = 0.15  # share of texts that are disguised
    beside: float = 0.15  # share of texts that stand beside a harmless one
    dropped: float = 0.04  # share of words that are left out


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` [U, grams] of the different words, the first of them none; `places` [B, T] of them; `targets` [B, C]."""

    rows: Tensor
    places: Tensor
    targets: Tensor


class Lessons:
    """Of these examples, read by a network of this shape."""

    def __init__(self, examples: Sequence[Example], shape: Shape, mixing: Mixing) -> None:
        self._mixing, self._window = mixing, shape.window
        self._grams = Grams(shape.rows, shape.grams)
        self._families: dict[tuple[str, frozenset[str]], list[Example]] = defaultdict(list)
        self._single: list[Example] = []
        for example in examples:
            kind = (example.family, example.labels)
            (self._families[kind] if example.family else self._single).append(example)
        self._harmless = [e for e in self._single if e.known == ALL and not e.labels and len(e.text) < 200]

    def count(self) -> int:
        """Texts in an epoch."""
        return self._singles + sum(min(self._mixing.each, len(f)) for f in self._families.values())

    def epoch(self, size: int, chance: random.Random) -> Iterator[Batch]:
        """Batches of texts of about one length, in random order."""
        each = self._mixing.each
        picked = [e for family in self._families.values() for e in chance.sample(family, min(each, len(family)))]
        picked += chance.sample(self._single, self._singles)
        seen = [self._shown(example, chance) for example in picked]
        seen.sort(key=lambda example: len(example.text) * chance.uniform(0.8, 1.2))
        starts = list(range(0, len(seen), size))
        chance.shuffle(starts)
        for start in starts:
            yield self._batch(seen[start : start + size], chance)

    @property
    def _singles(self) -> int:
        return round(len(self._single) * self._mixing.single)

    def _shown(self, example: Example, chance: random.Random) -> Example:
        """The example as it is shown this time."""
        text, known = example.text, example.known
        if known and chance.random() < self._mixing.disguised:
            text = disguised(text, chance.choice(KINDS), chance)
        if known and self._harmless and chance.random() < self._mixing.beside:
            other = chance.choice(self._harmless).text
            text = f"{other} {text}" if chance.random() < 0.5 else f"{text} {other}"
        return replace(example, text=text)

    def _batch(self, shown: Sequence[Example], chance: random.Random) -> Batch:
        rows, places = placed([read(example.text, self._window) for example in shown], self._grams)
        dropped = np.random.default_rng(chance.getrandbits(32)).random(places.shape) < self._mixing.dropped
        places[dropped & (np.arange(places.shape[1]) > 0)] = 0
        return Batch(torch.from_numpy(rows).long(), torch.from_numpy(places), torch.tensor([e.taught for e in shown]))


def read(text: str, window: int) -> list[str]:
    """A text's first words; of an empty one, a word for that."""
    return [word.text for word in words(text)][:window] or [NOTHING]


def placed(texts: Sequence[Sequence[str]], grams: Grams) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """`rows` [U, grams] of the texts' different words, the first of them none, and `places` [B, T] of them."""
    numbers: dict[str, int] = {"": 0}
    found = [[numbers.setdefault(word, len(numbers)) for word in text] for text in texts]
    places = np.zeros((len(found), max(map(len, found))), np.int64)
    for row, text in zip(places, found, strict=True):
        row[: len(text)] = text
    rows = grams.table(list(numbers), len(numbers))
    rows[0] = 0
    return rows, places
