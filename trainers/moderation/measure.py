"""How well a classifier does on texts it was not trained on.

Rule: every figure has its interval (percentile bootstrap, 95 %), and says of which texts.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from haiga.core.moderation import CATEGORIES
from trainers.moderation.disguise import KINDS, disguised
from trainers.moderation.examples import Example

ROUNDS = 1000
Floats: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]
Of: TypeAlias = Callable[[Flags, Flags], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """`low` and `high` are the interval's ends; `texts` how many it is of, `positive` how many of them hold."""

    value: float
    low: float
    high: float
    texts: int
    positive: int


@dataclass(frozen=True, slots=True)
class Quality:
    precision: Figure
    recall: Figure
    f1: Figure


def targets(examples: Sequence[Example]) -> Floats:
    return np.array([example.targets for example in examples], np.float32)


def thresholds(probabilities: Floats, wanted: Floats) -> list[float]:
    """By category the threshold of the best F1, from 0.15 to 0.9."""
    found = []
    for column in range(len(CATEGORIES)):
        known = wanted[:, column] >= 0
        scores, labels = probabilities[known, column], wanted[known, column] == 1
        tried = np.arange(0.15, 0.9, 0.025)
        found.append(float(tried[np.argmax([_f1(scores >= limit, labels) for limit in tried])]))
    return found


def quality(probabilities: Floats, wanted: Floats, column: int, threshold: float) -> Quality:
    """Of the texts whose label in the column is known."""
    known = wanted[:, column] >= 0
    flagged, labels = probabilities[known, column] >= threshold, wanted[known, column] == 1
    return Quality(
        _figure(flagged, labels, _precision), _figure(flagged, labels, _recall), _figure(flagged, labels, _f1)
    )


def false_alarms(probabilities: Floats, limits: Sequence[float]) -> Figure:
    """The share of harmless texts that any category flags."""
    flagged: Flags = np.any(probabilities >= np.array(limits, np.float32), axis=1)
    return _figure(flagged, np.zeros(len(flagged), np.bool_), lambda flags, _: float(flags.mean()))


def disguises(examples: Sequence[Example], seed: int) -> dict[str, list[str]]:
    """The texts in each disguise."""
    return {kind: [disguised(e.text, kind, random.Random(seed)) for e in examples] for kind in KINDS}


def _figure(flagged: Flags, labels: Flags, of: Of) -> Figure:
    chance = np.random.default_rng(1)
    again = []
    for _ in range(ROUNDS if len(labels) else 0):
        pick = chance.integers(0, len(labels), len(labels))
        again.append(of(flagged[pick], labels[pick]))
    low, high = np.percentile(again, [2.5, 97.5]) if again else (0.0, 0.0)
    return Figure(of(flagged, labels), float(low), float(high), len(labels), int(labels.sum()))


def _f1(flagged: Flags, labels: Flags) -> float:
    return 2 * float((flagged & labels).sum()) / max(1.0, float(flagged.sum() + labels.sum()))


def _precision(flagged: Flags, labels: Flags) -> float:
    return float((flagged & labels).sum()) / max(1.0, float(flagged.sum()))


def _recall(flagged: Flags, labels: Flags) -> float:
    return float((flagged & labels).sum()) / max(1.0, float(labels.sum()))
