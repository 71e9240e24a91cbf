"""How well a classifier does on texts it was not trained on.

Rule: every figure has its interval (percentile bootstrap, 95 %), and says of which texts.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class Calibrated:
    """`error`: how far probabilities are from shares, on average over ten bins (ECE, arXiv 1706.04599); `brier`: the
    mean square of what a probability is off."""

    error: float
    brier: float


def targets(examples: Sequence[Example]) -> Floats:
    return np.array([example.targets for example in examples], np.float32)


def quality(probabilities: Floats, wanted: Floats, column: int, threshold: float) -> Quality:
    """Of the texts whose label in the column is known."""
    known = wanted[:, column] >= 0
    flagged, labels = probabilities[known, column] >= threshold, wanted[known, column] == 1
    return Quality(
        _figure(flagged, labels, _precision), _figure(flagged, labels, _recall), _figure(flagged, labels, _f1)
    )


def calibrated(probabilities: Floats, wanted: Floats, column: int) -> Calibrated:
    """Of the texts whose label in the column is known."""
    known = wanted[:, column] >= 0
    said, held = probabilities[known, column], wanted[known, column]
    bins = np.minimum((said * 10).astype(int), 9)
    error = sum(abs(float((said - held)[bins == n].sum())) for n in range(10)) / max(1, len(said))
    return Calibrated(error, float(((said - held) ** 2).mean()))


def false_alarms(probabilities: Floats, limits: Sequence[float]) -> Figure:
    """The share of harmless texts that any category flags."""
    flagged: Flags = np.any(probabilities >= np.array(limits, np.float32), axis=1)
    return _figure(
        flagged, np.zeros(len(flagged), np.bool_), lambda flags, _: float(flags.mean()) if len(flags) else 0.0
    )


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
