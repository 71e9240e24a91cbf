"""What is trained on and what is measured on.

Rule: a family of templates, a document, an annotator's split is on one side as a whole; a text that stands in both is
taken out of the training part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.moderation import plain, sources, templates
from trainers.moderation.examples import Example, split

HELD = 0.15
SEED = 1
FILLINGS = 60  # of a template
ALARMING = 12  # of a held-out template that only sounds alarming
REPEATED = {"toxigen": 4, "convabuse-train": 3, "surge": 3, "questions": 3}  # small sets are seen more often


@dataclass(frozen=True, slots=True)
class Corpus:
    """`alarming` are the harmless texts by template families that were not in training; `fit` is what scores and
    thresholds are calibrated on, `held` what is measured on."""

    train: Sequence[Example]
    fit: Sequence[Example]
    held: Sequence[Example]
    alarming: Sequence[Example]


def read(data: Path, without: frozenset[str] = frozenset()) -> Corpus:
    """`without`: groups that no training text may speak of; texts about them are then held out."""
    slots = templates.slots(sources.terms(data))
    kept, held = split(_all(data, slots), HELD)
    held += [example for example in kept if example.source == "convabuse-test"]
    kept = [example for example in kept if example.source != "convabuse-test"]
    if without:
        held += [example for example in kept if example.group in without]
        kept = [example for example in kept if example.group not in without]
    known = {example.text for example in held}
    train = [e for e in kept if e.text not in known for _ in range(REPEATED.get(e.source, 1))]
    alarming = templates.benign(slots, ALARMING, SEED, "benign_held_out.txt")
    return Corpus(train, held[::2], held[1::2], alarming)


def _all(data: Path, slots: templates.Slots) -> list[Example]:
    return [
        *sources.labelled(data),
        *templates.harmful(slots, FILLINGS, SEED),
        *templates.benign(slots, FILLINGS, SEED),
        *plain.harmless(data, SEED),
    ]
