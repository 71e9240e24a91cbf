"""What is trained on and what is measured on.

Rule: a family of templates, a document, an annotator's split is on one side as a whole; a text that stands in both is
taken out of the training part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.moderation import plain, sources, templates
from trainers.moderation.examples import Example, split

HELD = 0.15  # of the sets; half of it to calibrate on
FITTED = 0.12  # of the families in training's files, to calibrate on
SEED = 1
FILLINGS = 40  # of a template, of which an epoch sees some
MEASURED = 12  # of a held-out template
FRAMED = 120  # texts of each frame
DONE = 20  # texts of each sentence about a deed and each kind of deed
REPEATED = {"toxigen": 6, "convabuse-train": 4, "surge": 6, "questions": 3}  # small sets are seen more often
HATED = 2  # and so are the set's few tweets of hate


@dataclass(frozen=True, slots=True)
class Corpus:
    """`fit` is what scores and thresholds are calibrated on, and what one looks at while the training is worked on;
    `held` what is measured on: the sets' held-out part, and templates that stand in files of their own; `alarming` the
    harmless ones of these; `refilled` are templates that were in training, filled with choices that were not;
    `written` whole sentences, each written once."""

    train: Sequence[Example]
    fit: Sequence[Example]
    held: Sequence[Example]
    alarming: Sequence[Example]
    refilled: Sequence[Example]
    written: Sequence[Example]


def read(data: Path, without: frozenset[str] = frozenset()) -> Corpus:
    """`without`: groups that no training text may speak of; texts about them are then held out."""
    choices = templates.choices(sources.terms(data))
    kept, held = split([*sources.labelled(data), *plain.harmless(data, SEED)], HELD)
    held += [example for example in kept if example.source == "convabuse-test"]
    kept = [example for example in kept if example.source != "convabuse-test"]
    made, fitted = split(_made(choices.known, kept), FITTED)
    if without:
        held += [example for example in [*kept, *made] if example.group in without]
        kept, made = ([e for e in part if not _speaks(e, without)] for part in (kept, made))
    slots = templates.both(choices)
    fitted_too, calm = _apart(slots, held[::2], "calibration")
    measured, alarming = _apart(slots, held[1::2], "held_out")
    known = {example.text for example in [*held, *fitted_too, *calm, *measured, *alarming]}
    repeated = [e for e in kept for _ in range(_often(e))]
    refilled = [*_filled(choices.held, 3), *templates.deeds(choices.held, 2, SEED, held=True)]
    return Corpus(
        [e for e in [*repeated, *made] if e.text not in known],
        [*held[::2], *fitted, *fitted_too, *calm],
        [*held[1::2], *measured, *alarming],
        alarming,
        [e for e in refilled if e.text not in known],
        templates.written("held_out/written"),
    )


def _speaks(example: Example, groups: frozenset[str]) -> bool:
    """Whether a text is about one of the groups, or names one."""
    text = example.text.lower()
    return example.group in groups or any(group.rstrip("s") in text for group in groups)


def _often(example: Example) -> int:
    hated = example.source == "davidson" and "hate" in example.labels
    return HATED if hated else REPEATED.get(example.source, 1)


def _made(slots: templates.Slots, kept: Sequence[Example]) -> list[Example]:
    filled = _filled(slots, FILLINGS)
    said = templates.quotable([e for e in [*kept, *filled] if e.source in ("templates", "toxigen")])
    joined = [*templates.deeds(slots, DONE, SEED), *templates.claims(slots, DONE, SEED)]
    return [*filled, *templates.framed(said, slots, FRAMED, SEED), *joined]


def _filled(slots: templates.Slots, each: int) -> list[Example]:
    return [*templates.harmful(slots, each, SEED), *templates.benign(slots, each, SEED)]


def _apart(slots: templates.Slots, held: Sequence[Example], place: str) -> tuple[list[Example], list[Example]]:
    """Templates that are not in training: the harmful ones, and those that only sound alarming."""
    harmful = templates.harmful(slots, MEASURED, SEED, f"{place}/harmful")
    said = templates.quotable([*harmful, *(e for e in held if e.source == "toxigen")])
    framed = templates.framed(said, slots, 2 * MEASURED, SEED, f"{place}/frames")
    benign = templates.benign(slots, MEASURED, SEED, f"{place}/benign")
    return (
        [*harmful, *(e for e in framed if e.labels)],
        [*benign, *(e for e in framed if not e.labels)],
    )
