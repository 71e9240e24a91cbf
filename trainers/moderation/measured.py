"""All that the card says of a judge, measured.

Rule: of the held-out part alone; what a figure is of stands beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from haiga.core.moderation import CATEGORIES
from trainers.moderation import measure
from trainers.moderation.calibration import source
from trainers.moderation.corpus import Corpus
from trainers.moderation.examples import Example
from trainers.moderation.judge import Judge
from trainers.moderation.measure import Calibrated, Figure, Floats, Quality

SPOKEN = ("harassment", "hate")
SETS = ("davidson", "toxigen", "convabuse", "surge")
ENOUGH = 10  # cases of a category that make a row of the card
UNSEEN = frozenset({"jewish", "native_american", "physical_disability", "jews", "native americans", "disabled people"})
Rows = Mapping[tuple[str, str], Quality]


@dataclass(frozen=True, slots=True)
class Measured:
    """`by_source`, `by_group`: (name, category) to its quality, and so `by_new_group`, of the training's templates
    filled with groups that it leaves out; `unseen`: (group, category) to F1, texts and positives of a training without
    the group; `by_kind`: false alarms by kind of construction; `disguised`: F1 of hate and harassment together by kind
    of disguise, "none" among them; `written`: right of how many sentences by hand."""

    categories: Mapping[str, Quality]
    by_source: Rows
    by_group: Rows
    unseen: Mapping[str, Sequence[float]]
    constructions: Mapping[str, Quality]
    refilled: Mapping[str, Quality]
    by_new_group: Rows
    calibrated: Mapping[str, Calibrated]
    alarming: Figure
    by_kind: Mapping[str, Figure]
    plain: Mapping[str, Figure]
    written: tuple[Figure, Figure]
    disguised: Mapping[str, float]
    thresholds: Sequence[float]

    @property
    def macro(self) -> float:
        return sum(quality.f1.value for quality in self.by_source.values()) / len(self.by_source)


def measured(judge: Judge, texts: Corpus, unseen: Mapping[str, Sequence[float]]) -> Measured:
    held = _Judged(judge, texts.held)
    made = held.part(lambda e: source(e) == "templates")
    spoken, refilled = held.part(lambda e: source(e) in SETS), _Judged(judge, texts.refilled)
    return Measured(
        categories={name: held.quality(name) for name in CATEGORIES},
        by_source=_rows(spoken, source, ENOUGH),
        by_group=_rows(held.part(lambda e: bool(e.group)), lambda e: e.group, 4),
        unseen=unseen,
        constructions={name: made.quality(name) for name in CATEGORIES},
        refilled={name: refilled.quality(name) for name in CATEGORIES},
        by_new_group=_rows(refilled.part(lambda e: bool(e.group)), lambda e: e.group, ENOUGH),
        calibrated={name: held.calibrated(name) for name in CATEGORIES},
        alarming=held.part(lambda e: e.source.startswith("benign")).alarms(),
        by_kind=_alarms(held.part(lambda e: e.source.startswith("benign"))),
        plain=_alarms(held.part(lambda e: e.source.startswith("plain"))),
        written=_written(_Judged(judge, texts.written)),
        disguised=_disguised(judge, spoken.examples),
        thresholds=judge.limits,
    )


def left_out(judge: Judge, texts: Corpus) -> dict[str, list[float]]:
    """Quality on groups that the judge's training did not see: F1 of hate, its interval's ends, texts, positives."""
    found = {}
    for group in sorted(UNSEEN):
        f1 = judge.quality([e for e in texts.held if e.group == group], "hate").f1
        found[group] = [f1.value, f1.low, f1.high, f1.texts, f1.positive]
    return found


class _Judged:
    """Examples with what a judge says of them."""

    def __init__(self, judge: Judge, examples: Sequence[Example], found: Floats | None = None) -> None:
        self._judge, self.examples = judge, examples
        self._found = judge.probabilities([e.text for e in examples]) if found is None else found

    def part(self, of: Callable[[Example], bool]) -> "_Judged":
        kept = [n for n, example in enumerate(self.examples) if of(example)]
        return _Judged(self._judge, [self.examples[n] for n in kept], self._found[kept])

    def quality(self, category: str) -> Quality:
        return self._judge.judged(self._found, self.examples, category)

    def calibrated(self, category: str) -> Calibrated:
        return measure.calibrated(self._found, measure.targets(self.examples), CATEGORIES.index(category))

    def alarms(self) -> Figure:
        return measure.false_alarms(self._found, self._judge.limits)

    def positive(self, category: str) -> int:
        return sum(category in example.labels for example in self.examples)


def _rows(found: _Judged, name: Callable[[Example], str], enough: int) -> dict[tuple[str, str], Quality]:
    """For each name and each of the two categories that it has enough cases of."""
    parts = _parts(found, name)
    return {
        (key, category): part.quality(category)
        for key, part in parts.items()
        for category in SPOKEN
        if part.positive(category) >= enough
    }


def _alarms(found: _Judged) -> dict[str, Figure]:
    calm = _parts(found.part(lambda e: not e.labels), lambda e: e.source.partition("-")[2])
    return {kind: part.alarms() for kind, part in calm.items()}


def _parts(found: _Judged, name: Callable[[Example], str]) -> dict[str, _Judged]:
    named = {key: partial(_is, name, key) for key in sorted({name(example) for example in found.examples})}
    return {key: found.part(of) for key, of in named.items()}


def _is(name: Callable[[Example], str], key: str, example: Example) -> bool:
    return name(example) == key


def _written(found: _Judged) -> tuple[Figure, Figure]:
    """Harmless ones flagged, and harmful ones flagged in any category."""
    return found.part(lambda e: not e.labels).alarms(), found.part(lambda e: bool(e.labels)).alarms()


def _disguised(judge: Judge, spoken: Sequence[Example]) -> dict[str, float]:
    lines = {"none": [e.text for e in spoken], **measure.disguises(spoken, seed=1)}
    return {kind: _both(judge, texts, spoken) for kind, texts in lines.items()}


def _both(judge: Judge, lines: Sequence[str], spoken: Sequence[Example]) -> float:
    """The mean F1 of hate and harassment."""
    found = judge.probabilities(lines)
    return float(np.mean([judge.judged(found, spoken, category).f1.value for category in SPOKEN]))
