"""Training and calibration.

Rule: an unknown label costs nothing; rare labels weigh more. Probabilities are calibrated on texts the training did not
see, by a slope and an offset per category (Platt 1999).
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haiga.core.moderation import CATEGORIES
from haiga.text.grams import Grams
from haiga.text.words import words
from trainers.moderation.disguise import KINDS, disguised
from trainers.moderation.examples import Example
from trainers.moderation.network import Network, Shape


@dataclass(frozen=True, slots=True)
class Plan:
    epochs: int = 6
    batch: int = 64
    rate: float = 2e-3
    disguise: float = 0.15  # share of texts that are disguised
    smooth: float = 0.02  # labels are 0.98 and 0.02
    rare: float = 0.3  # a label's weight is its share to the power of minus this
    seed: int = 1


class Reader:
    """Texts to rows."""

    def __init__(self, shape: Shape) -> None:
        self._grams = Grams(shape.rows, shape.grams)
        self._window = shape.window

    def rows(self, texts: Sequence[str]) -> Tensor:
        """[B, T, grams], T the longest text's words, at most a window's."""
        read = [[word.text for word in words(text)][: self._window] or ["<nothing>"] for text in texts]
        length = max(len(text) for text in read)
        return torch.from_numpy(np.stack([self._grams.table(text, length) for text in read])).long()


def train(examples: Sequence[Example], shape: Shape, plan: Plan) -> Network:
    """A network that has seen the examples `epochs` times."""
    torch.manual_seed(plan.seed)
    network, reader, chance = Network(shape, len(CATEGORIES)), Reader(shape), random.Random(plan.seed)
    weights = _weights(examples, plan.rare)
    steps = plan.epochs * (-(-len(examples) // plan.batch))
    rest = [parameter for name, parameter in network.named_parameters() if not name.startswith("table.")]
    optimizers = [
        torch.optim.AdamW(rest, lr=plan.rate, weight_decay=0.02, betas=(0.9, 0.98)),
        torch.optim.SparseAdam(network.table.parameters(), lr=plan.rate),  # a batch touches few of its rows
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step / steps)) for optimizer in optimizers
    ]
    began = time.monotonic()
    for epoch in range(plan.epochs):
        losses = []
        for batch in _batches(examples, plan.batch, chance):
            texts = [_text(example, plan, chance) for example in batch]
            targets = torch.tensor([example.targets for example in batch])
            loss = _loss(network(reader.rows(texts)), targets, weights, plan.smooth)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(rest, 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.monotonic() - began:.0f} s", flush=True)
    return network.eval()


def logits(network: Network, texts: Sequence[str], batch: int = 64) -> NDArray[np.float32]:
    """[N, categories], in the order of the texts."""
    reader = Reader(network.shape)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    answer = np.zeros((len(texts), len(CATEGORIES)), np.float32)
    with torch.no_grad():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            answer[part] = network(reader.rows([texts[n] for n in part])).numpy()
    return answer


def calibrate(scores: NDArray[np.float32], targets: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Slope and offset per category, by least log loss where labels are known."""
    slopes, offsets = [], []
    for column in range(scores.shape[1]):
        known = targets[:, column] >= 0
        x, y = torch.from_numpy(scores[known, column]), torch.from_numpy(targets[known, column])
        line = torch.tensor([1.0, 0.0], requires_grad=True)
        fit = torch.optim.LBFGS([line], max_iter=100)
        fit.step(partial(_close, x, y, line, fit))  # type: ignore[no-untyped-call]
        slopes.append(float(line[0]))
        offsets.append(float(line[1]))
    return slopes, offsets


def _share(done: float) -> float:
    """Of the rate: a tenth of the way up, then down along a cosine."""
    return done / 0.1 if done < 0.1 else 0.5 * (1 + math.cos(math.pi * min(1.0, (done - 0.1) / 0.9)))


def _close(x: Tensor, y: Tensor, line: Tensor, fit: torch.optim.Optimizer) -> Tensor:
    fit.zero_grad()
    loss = F.binary_cross_entropy_with_logits(x * line[0] + line[1], y) + 1e-3 * (line[0] - 1) ** 2
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def _weights(examples: Sequence[Example], rare: float) -> Tensor:
    share = torch.tensor([sum(name in e.labels for e in examples) / len(examples) for name in CATEGORIES])
    return (share.clamp(min=1e-3) / share.max()) ** -rare


def _loss(logits: Tensor, targets: Tensor, weights: Tensor, smooth: float) -> Tensor:
    known = (targets >= 0).float()
    smoothed = targets.clamp(smooth, 1 - smooth)
    each = F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weights, reduction="none")
    return (each * known).sum() / known.sum()


def _batches(examples: Sequence[Example], size: int, chance: random.Random) -> list[list[Example]]:
    """Batches of texts of about one length, in random order."""
    ordered = sorted(examples, key=lambda e: len(e.text) * chance.uniform(0.8, 1.2))
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    chance.shuffle(batches)
    return batches


def _text(example: Example, plan: Plan, chance: random.Random) -> str:
    return disguised(example.text, chance.choice(KINDS), chance) if chance.random() < plan.disguise else example.text
