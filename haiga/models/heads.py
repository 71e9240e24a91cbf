"""The last layer of the moderation classifier, trained on in numpy.

Rule: a head is one linear layer over features: logits are `features @ weight.T + bias`. It starts from the weights that
are there and is held near to them, so that a few labels change a little and many change much. Unknown labels cost
nothing. Shapes: N texts, H features, C categories.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from haiga.models.classifier import Classifier

Floats: TypeAlias = NDArray[np.float32]
UNKNOWN = -1.0
BOUNDS = np.arange(0.1, 0.95, 0.025)  # thresholds that are tried
ENOUGH = 10  # positive and negative cases from which on a category's threshold is chosen anew


@dataclass(frozen=True, slots=True)
class Head:
    """`weight` [C, H], `bias` [C], and what makes probabilities of logits: `slopes` and `offsets` [C]; `thresholds`
    [C] flag."""

    weight: Floats
    bias: Floats
    slopes: Floats
    offsets: Floats
    thresholds: Floats

    def probabilities(self, features: Floats) -> Floats:
        """[N, C] of features [N, H]."""
        logits = (features @ self.weight.T + self.bias) * self.slopes + self.offsets
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)


def read_head(directory: Path, shape: Classifier) -> Head:
    """The head of a classifier's folder."""
    tensors = load_file(directory / "model.safetensors")
    thresholds = np.array([*shape.thresholds.values()], np.float32)
    slopes, offsets = np.array(shape.slopes, np.float32), np.array(shape.offsets, np.float32)
    return Head(tensors["outer.weight"], tensors["outer.bias"], slopes, offsets, thresholds)


def write_head(source: Path, target: Path, head: Head, config: Mapping[str, Any]) -> None:
    """Write the classifier of `source` with another head; `config` is what its config.json says."""
    tensors = load_file(source / "model.safetensors")
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors | {"outer.weight": head.weight, "outer.bias": head.bias}, target / "model.safetensors")
    told = {**config, "thresholds": [round(float(value), 4) for value in head.thresholds]}
    (target / "config.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def fit_head(
    head: Head, features: Floats, targets: Floats, *, steps: int = 400, rate: float = 0.02, near: float = 1e-3
) -> Head:
    """The head after `steps` of Adam (arXiv 1412.6980) over all texts at once, on the binary cross entropy of the known
    `targets` [N, C] (1, 0, or -1 for unknown) and `near` times the squared distance from where it began."""
    weight, bias = head.weight.astype(np.float32), head.bias.astype(np.float32)
    known = (targets != UNKNOWN).astype(np.float32)
    count = np.maximum(1, known.sum(0))
    moments = [np.zeros_like(each) for each in (weight, weight, bias, bias)]
    for step in range(1, steps + 1):
        now = replace(head, weight=weight, bias=bias)
        error = (now.probabilities(features) - targets) * known * head.slopes / count  # [N, C]
        gradients = (error.T @ features + 2 * near * (weight - head.weight), error.sum(0))
        for at, (value, gradient) in enumerate(zip((weight, bias), gradients, strict=True)):
            moments[2 * at] = 0.9 * moments[2 * at] + 0.1 * gradient
            moments[2 * at + 1] = 0.999 * moments[2 * at + 1] + 0.001 * gradient**2
            mean, square = moments[2 * at] / (1 - 0.9**step), moments[2 * at + 1] / (1 - 0.999**step)
            value -= (rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
    return replace(head, weight=weight, bias=bias)


def with_thresholds(head: Head, features: Floats, targets: Floats) -> Head:
    """The head with the threshold of the best F1 for each category that has enough cases of both kinds."""
    scores, thresholds = head.probabilities(features), head.thresholds.copy()
    for column in range(targets.shape[1]):
        known = targets[:, column] != UNKNOWN
        wanted = targets[known, column] == 1
        if min(wanted.sum(), (~wanted).sum()) < ENOUGH:
            continue
        found = [f1(scores[known, column] >= bound, wanted) for bound in BOUNDS]
        thresholds[column] = BOUNDS[int(np.argmax(found))]
    return replace(head, thresholds=thresholds)


def f1(flagged: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """The harmonic mean of precision and recall; 0 where there is nothing to find and something was found, 1 where
    nothing was."""
    total = int(flagged.sum() + wanted.sum())
    return 2 * float((flagged & wanted).sum()) / total if total else 1.0
