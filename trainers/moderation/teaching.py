"""One network taught by several: what they hold of a text, together, is learned beside its labels.

Rule: where a label is unknown the teachers' word counts alone; else as much as the label (arXiv 1503.02531).
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from haiga.core.moderation import CATEGORIES
from trainers.moderation.examples import Example

EACH = 4  # fillings of a family, of one kind of labels
SHARE = 0.5  # of what is taught, the teachers'


def lesson(examples: Sequence[Example], seed: int) -> list[Example]:
    """What is taught on: every text of the sets, and some of each family."""
    chance, families = random.Random(seed), defaultdict(list)
    for example in examples:
        families[example.family, example.labels].append(example)
    return [
        example
        for (family, _), found in families.items()
        for example in (chance.sample(found, min(EACH, len(found))) if family else found)
    ]


def taught(examples: Sequence[Example], logits: Sequence[NDArray[np.float32]]) -> list[Example]:
    """The examples with what the teachers say of them: `logits` [N, categories] of each."""
    said = 1 / (1 + np.exp(-np.mean(np.stack(logits), 0)))
    return [replace(example, votes=_mixed(example, row)) for example, row in zip(examples, said, strict=True)]


def _mixed(example: Example, said: NDArray[np.float32]) -> tuple[tuple[str, float], ...]:
    return tuple(
        (name, float(teacher) if label < 0 else (1 - SHARE) * label + SHARE * float(teacher))
        for name, label, teacher in zip(CATEGORIES, example.taught, said, strict=True)
    )
