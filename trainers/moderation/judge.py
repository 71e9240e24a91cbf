"""A network with its calibration: what the published classifier will say.

Rule: calibrated on texts that the training did not see, and never on those that quality is measured on.
"""

from collections.abc import Sequence

import numpy as np

from haiga.core.moderation import CATEGORIES
from trainers.moderation import calibration, fit, measure
from trainers.moderation.examples import Example
from trainers.moderation.measure import Floats, Quality
from trainers.moderation.network import Network


class Judge:
    """`limits`: from which probability a category is flagged."""

    def __init__(self, network: Network, texts: Sequence[Example]) -> None:
        self._network = network
        scores = fit.logits(network, [e.text for e in texts])
        self.slopes, self.offsets = calibration.lines(scores, measure.targets(texts))
        self.limits = calibration.thresholds(self._calibrated(scores), texts)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, categories]."""
        return self._calibrated(fit.logits(self._network, texts))

    def quality(self, examples: Sequence[Example], category: str) -> Quality:
        """Of the examples whose label in the category is known."""
        return self.judged(self.probabilities([e.text for e in examples]), examples, category)

    def judged(self, found: Floats, examples: Sequence[Example], category: str) -> Quality:
        """The same where the probabilities are known already."""
        column = CATEGORIES.index(category)
        return measure.quality(found, measure.targets(examples), column, self.limits[column])

    def _calibrated(self, scores: Floats) -> Floats:
        lines = scores * np.array(self.slopes, np.float32) + np.array(self.offsets, np.float32)
        return (1 / (1 + np.exp(-lines))).astype(np.float32)
