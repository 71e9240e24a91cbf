"""One's own labels: a file of texts, and a classifier's head trained on them.

Rule: a part of the labels is never trained on, chosen by the texts themselves, so that the same file always holds back
the same part; what is told before and after is measured on that part alone.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from haiga.core.errors import Invalid
from haiga.core.moderation import CATEGORIES
from haiga.engines.classifier import LocalClassifier
from haiga.models.heads import UNKNOWN, Floats, Head, f1, fit_head, read_head, with_thresholds, write_head

HELD = 5  # one text in so many is held back
LEAST = 20  # texts that are worth training on


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts, and for each its labels [categories]: 1, 0, or -1 for unknown."""

    texts: tuple[str, ...]
    targets: Floats

    def part(self, held: bool) -> "Labelled":
        """What is held back, or the rest."""
        chosen = [at for at, text in enumerate(self.texts) if (_place(text) == 0) == held]
        return Labelled(tuple(self.texts[at] for at in chosen), self.targets[chosen])


@dataclass(frozen=True, slots=True)
class Measured:
    """F1 of a category on the part that is held back, where `cases` of its labels hold."""

    category: str
    cases: int
    texts: int
    before: float
    after: float


def read_labels(path: Path) -> Labelled:
    """A file of JSON lines: `text`, and `labels` as a list of the categories that hold (all others do not) or as an
    object of those that are known. Raises Invalid naming the line."""
    texts, targets = [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise Invalid(f"{path}: {problem}") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            text, labels = _read(line, f"{path}, line {number}")
            texts.append(text)
            targets.append(labels)
    if len(texts) < LEAST:
        raise Invalid(f"{path}: {len(texts)} labelled texts are too few to train on: there must be {LEAST} at least")
    return Labelled(tuple(texts), np.array(targets, np.float32))


async def train(classifier: LocalClassifier, labels: Labelled, target: Path) -> list[Measured]:
    """Train the classifier's head on, write what comes of it to `target`, and tell before and after."""
    features = {held: await classifier.features(labels.part(held).texts) for held in (False, True)}
    head = await asyncio.to_thread(read_head, classifier.directory, classifier.shape)
    own, kept = labels.part(False), labels.part(True)
    fitted = await asyncio.to_thread(fit_head, head, features[False], own.targets)
    trained = with_thresholds(fitted, features[False], own.targets)
    config = json.loads((classifier.directory / "config.json").read_text(encoding="utf-8"))
    write_head(classifier.directory, target, trained, config)
    return _measured(head, trained, features[True], kept.targets)


def _measured(before: Head, after: Head, features: Floats, targets: Floats) -> list[Measured]:
    found = []
    scores = before.probabilities(features), after.probabilities(features)
    for column, name in enumerate(CATEGORIES):
        known = targets[:, column] != UNKNOWN
        wanted = targets[known, column] == 1
        if wanted.any():
            was, now = (
                f1(score[known, column] >= head.thresholds[column], wanted)
                for score, head in zip(scores, (before, after), strict=True)
            )
            found.append(Measured(name, int(wanted.sum()), int(known.sum()), was, now))
    return found


def _read(line: str, place: str) -> tuple[str, list[float]]:
    try:
        value: Any = json.loads(line)
    except ValueError as problem:
        raise Invalid(f"{place}: {problem}") from None
    text, labels = (value.get("text"), value.get("labels")) if isinstance(value, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(labels, list | dict):
        raise Invalid(f'{place}: expected {{"text": "…", "labels": ["hate", …]}}')
    if unknown := [name for name in labels if name not in CATEGORIES]:
        raise Invalid(f"{place}: there is no category {unknown[0]}; there are {', '.join(CATEGORIES)}")
    if isinstance(labels, list):
        return text, [1.0 if name in labels else 0.0 for name in CATEGORIES]
    return text, [UNKNOWN if name not in labels else 1.0 if labels[name] else 0.0 for name in CATEGORIES]


def _place(text: str) -> int:
    return int(sha256(text.encode(errors="replace")).hexdigest()[:8], 16) % HELD


def shown(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Rows of a table."""
    return [(m.category, str(m.cases), str(m.texts), f"{m.before:.2f}", f"{m.after:.2f}") for m in measured]
