"""From logits to probabilities, and from probabilities to flags, on texts that the training did not see.

Rule: a slope and an offset per category (Platt 1999); thresholds weigh what is missed against false alarms.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from haiga.core.moderation import CATEGORIES
from trainers.moderation.examples import Example
from trainers.moderation.measure import Flags, Floats, targets

WEIGHT = 3.0  # points of F1 that a point of harmless texts flagged costs
ENOUGH = 10  # cases of a category that make a source count
TRIED = tuple(float(t) for t in np.arange(0.15, 0.925, 0.025))


def lines(scores: Floats, wanted: Floats) -> tuple[list[float], list[float]]:
    """Slope and offset per category, by least log loss where labels are known."""
    slopes, offsets = [], []
    for column in range(scores.shape[1]):
        known = wanted[:, column] >= 0
        x, y = torch.from_numpy(scores[known, column]), torch.from_numpy(wanted[known, column])
        line = torch.tensor([1.0, 0.0], requires_grad=True)
        fit = torch.optim.LBFGS([line], max_iter=100)
        fit.step(partial(_close, x, y, line, fit))  # type: ignore[no-untyped-call]
        slope, offset = line.detach().tolist()
        slopes.append(slope)
        offsets.append(offset)
    return slopes, offsets


def thresholds(probabilities: Floats, examples: Sequence[Example]) -> list[float]:
    """By category the threshold of the best F1, as the mean over sources, less WEIGHT times the share of the harmless
    texts it flags."""
    wanted = targets(examples)
    harmless = np.array([example.source.startswith(("benign", "plain")) for example in examples])
    sources = np.array([source(example) for example in examples])
    found = []
    for column in range(len(CATEGORIES)):
        labels, known = wanted[:, column] == 1, wanted[:, column] >= 0
        parts = [known & (sources == name) for name in sorted(set(sources))]
        parts = [part for part in parts if labels[part].sum() >= ENOUGH]
        worth = partial(_worth, probabilities[:, column], labels, parts, harmless)
        found.append(max(TRIED, key=worth))
    return found


def source(example: Example) -> str:
    """The set an example comes from, templates and all that sounds like them being one."""
    if example.source.startswith(("benign", "templates")):
        return "templates"
    return example.source.removesuffix("-framed").removesuffix("-train").removesuffix("-test")


def _worth(scores: Floats, labels: Flags, parts: Sequence[Flags], harmless: Flags, limit: float) -> float:
    flagged = scores >= limit
    f1 = [
        2 * float((flagged & labels)[part].sum()) / max(1.0, float(flagged[part].sum() + labels[part].sum()))
        for part in parts
    ]
    return float(np.mean(f1)) - WEIGHT * float(flagged[harmless].mean())


def _close(x: Tensor, y: Tensor, line: Tensor, fit: torch.optim.Optimizer) -> Tensor:
    fit.zero_grad()
    loss = F.binary_cross_entropy_with_logits(x * line[0] + line[1], y) + 1e-3 * (line[0] - 1) ** 2
    loss.backward()  # type: ignore[no-untyped-call]
    return loss
