"""Command line: reads the sets, trains, calibrates, measures, writes the classifier and its card.

Rule: the only file of the package that reads arguments and prints results.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from haiga.core.moderation import CATEGORIES
from trainers.moderation import checkpoint, corpus, fit, measure
from trainers.moderation.card import Measured, card
from trainers.moderation.examples import Example
from trainers.moderation.measure import Floats, Quality
from trainers.moderation.network import Network, Shape

SPOKEN = ("harassment", "hate")
ENOUGH = 10  # cases of a category that make a row of the card
UNSEEN = frozenset({"jewish", "native_american", "physical_disability", "jews", "native americans", "disabled people"})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.moderation", description="Train the moderation classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder whose moderation/ and text/ hold the sets")
    parser.add_argument("--out", type=Path, required=True, help="folder that the classifier is written to")
    parser.add_argument("--epochs", type=int, default=6, help="times that every text is seen (default: 6)")
    parser.add_argument(
        "--group-epochs", type=int, default=3, help="of the training that leaves groups out (default: 3)"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    texts, began = corpus.read(given.data), time.monotonic()
    print(f"{len(texts.train):,} texts", flush=True)
    network = fit.train(texts.train, Shape(), fit.Plan(epochs=given.epochs))
    minutes = (time.monotonic() - began) / 60
    judge = _Judge(network, texts.fit)
    checkpoint.write(network, given.out, judge.slopes, judge.offsets, judge.limits)
    groups = _groups(given.data, given.group_epochs)
    measured = _measured(judge, texts, groups)
    parameters = sum(p.numel() for p in network.parameters())
    (given.out / "README.md").write_text(card(parameters, len(texts.train), minutes, measured), encoding="utf-8")
    print(f"macro F1 by source {measured.macro:.3f}; false alarms {measured.alarming.value:.3f}")


class _Judge:
    """A network with its calibration."""

    def __init__(self, network: Network, texts: Sequence[Example]) -> None:
        self._network = network
        scores = fit.logits(network, [e.text for e in texts])
        self.slopes, self.offsets = fit.calibrate(scores, measure.targets(texts))
        self.limits = measure.thresholds(self._calibrated(scores), measure.targets(texts))

    def probabilities(self, texts: Sequence[str]) -> Floats:
        return self._calibrated(fit.logits(self._network, texts))

    def quality(self, examples: Sequence[Example], category: str) -> Quality:
        column = CATEGORIES.index(category)
        found = self.probabilities([e.text for e in examples])
        return measure.quality(found, measure.targets(examples), column, self.limits[column])

    def _calibrated(self, scores: Floats) -> Floats:
        lines = scores * np.array(self.slopes, np.float32) + np.array(self.offsets, np.float32)
        return (1 / (1 + np.exp(-lines))).astype(np.float32)


def _groups(data: Path, epochs: int) -> dict[tuple[str, str], Quality]:
    """Quality on groups that the training did not see: another network, trained without them."""
    texts = corpus.read(data, UNSEEN)
    judge = _Judge(fit.train(texts.train, Shape(), fit.Plan(epochs=epochs)), texts.fit)
    return {
        (group, category): judge.quality(found, category)
        for group in sorted(UNSEEN)
        if (found := [e for e in texts.held if e.group == group])
        for category in SPOKEN
    }


def _measured(judge: _Judge, texts: corpus.Corpus, groups: dict[tuple[str, str], Quality]) -> Measured:
    spoken = [e for e in texts.held if _source(e) in ("davidson", "toxigen", "convabuse", "surge")]
    alarms = judge.probabilities([e.text for e in texts.alarming])
    disguised = {"none": [e.text for e in spoken], **measure.disguises(spoken, seed=1)}
    return Measured(
        categories={name: judge.quality(texts.held, name) for name in CATEGORIES},
        by_source=_by_source(judge, spoken),
        by_group=groups,
        alarming=measure.false_alarms(alarms, judge.limits),
        worst=_worst(texts.alarming, list(np.any(alarms >= np.array(judge.limits), axis=1))),
        disguised={kind: _both(judge, lines, spoken) for kind, lines in disguised.items()},
        thresholds=judge.limits,
    )


def _by_source(judge: _Judge, spoken: Sequence[Example]) -> dict[tuple[str, str], Quality]:
    """For each set and each category that it has enough cases of."""
    sets: dict[str, list[Example]] = defaultdict(list)
    for example in spoken:
        sets[_source(example)].append(example)
    return {
        (source, category): judge.quality(found, category)
        for source, found in sorted(sets.items())
        for category in SPOKEN
        if sum(category in example.labels for example in found) >= ENOUGH
    }


def _both(judge: _Judge, lines: Sequence[str], spoken: Sequence[Example]) -> float:
    """The mean F1 of hate and harassment."""
    found, wanted = judge.probabilities(lines), measure.targets(spoken)
    columns = [CATEGORIES.index(name) for name in SPOKEN]
    return float(np.mean([measure.quality(found, wanted, c, judge.limits[c]).f1.value for c in columns]))


def _worst(examples: Sequence[Example], flagged: Sequence[bool]) -> list[tuple[str, float]]:
    by_family: dict[str, list[bool]] = defaultdict(list)
    for example, flag in zip(examples, flagged, strict=True):
        by_family[example.family].append(bool(flag))
    shares = sorted(((family, sum(flags) / len(flags)) for family, flags in by_family.items()), key=lambda f: -f[1])
    return [(family, share) for family, share in shares if share > 0][:12]


def _source(example: Example) -> str:
    return example.source.removesuffix("-train").removesuffix("-test")


if __name__ == "__main__":
    main()
