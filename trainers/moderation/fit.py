"""Training on labels: of a network that knows words and language, one that judges.

Rule: an unknown label costs nothing; rare labels weigh more; what is kept is the mean of the network's last states.
"""

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haiga.core.moderation import CATEGORIES
from haiga.text.grams import Grams
from trainers.moderation.course import Course
from trainers.moderation.examples import Example
from trainers.moderation.lessons import Batch, Lessons, Mixing, placed, read
from trainers.moderation.network import Network


@dataclass(frozen=True, slots=True)
class Plan:
    epochs: int = 60
    batch: int = 96
    rate: float = 1e-3
    table_rate: float = 5e-4
    smooth: float = 0.02  # labels are 0.98 and 0.02
    rare: float = 0.3  # a label's weight is its share to the power of minus this
    seed: int = 1
    minutes: float | None = None  # at most: the rates fall faster where it would take longer
    mixing: Mixing = field(default_factory=Mixing)


def train(
    network: Network, examples: Sequence[Example], plan: Plan, keep: Callable[[Network], None] = lambda network: None
) -> Network:
    """The mean of the network's last states when it has seen `epochs` picks of the examples; `keep` is given the mean
    so far after each."""
    torch.manual_seed(plan.seed)
    chance, lessons = random.Random(plan.seed), Lessons(examples, network.shape, plan.mixing)
    pupil = _Pupil(network.train(), plan, _weights(examples, plan.rare), lessons.count())
    course, epoch = pupil.course, 0
    while course.done < 1:
        shown = takewhile(lambda _: course.done < 1, lessons.epoch(plan.batch, chance))
        losses = [pupil.learn(batch) for batch in shown]
        epoch += 1
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}, {course.elapsed:.0f} s, {course.done:.3f} done", flush=True)
        keep(pupil.mean.of)
    return pupil.mean.of.eval()


class _Pupil:
    """A network that is taught batch by batch."""

    def __init__(self, network: Network, plan: Plan, weights: Tensor, count: int) -> None:
        self._network, self._plan, self._weights = network, plan, weights
        steps = plan.epochs * -(-count // plan.batch)
        self.course = Course(network, plan.rate, plan.table_rate, steps, plan.minutes)
        self.mean = _Mean(network)

    def learn(self, batch: Batch) -> float:
        """The loss."""
        with torch.autocast("cpu", torch.bfloat16):
            logits = self._network(batch.rows, batch.places)
        loss = _loss(logits.float(), batch.targets, self._weights, self._plan.smooth)
        self.course.step(loss)
        self.mean.add(self._network)
        return loss.item()


class _Mean:
    """Of a network's last states, every EVERYth of them: steadier than the last one (arXiv 1803.05407)."""

    EVERY = 8
    LATEST = 0.005  # of the mean is the newest state

    def __init__(self, network: Network) -> None:
        self.of, self._count = copy.deepcopy(network), 0

    @torch.no_grad()
    def add(self, network: Network) -> None:
        self._count += 1
        if self._count % self.EVERY == 0:
            share = max(self.LATEST, 1 / (1 + self._count / self.EVERY))
            for mean, newest in zip(self.of.parameters(), network.parameters(), strict=True):
                mean.lerp_(newest, share)


def logits(network: Network, texts: Sequence[str], batch: int = 64) -> NDArray[np.float32]:
    """[N, categories], in the order of the texts."""
    grams = Grams(network.shape.rows, network.shape.grams)
    words = [read(text, network.shape.window) for text in texts]
    order = sorted(range(len(texts)), key=lambda n: len(words[n]))
    answer = np.zeros((len(texts), len(CATEGORIES)), np.float32)
    with torch.no_grad():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            rows, places = map(torch.from_numpy, placed([words[n] for n in part], grams))
            answer[part] = network(rows.long(), places).numpy()
    return answer


def _weights(examples: Sequence[Example], rare: float) -> Tensor:
    share = torch.tensor([sum(name in e.labels for e in examples) / len(examples) for name in CATEGORIES])
    return (share.clamp(min=1e-3) / share.max()) ** -rare


def _loss(logits: Tensor, targets: Tensor, weights: Tensor, smooth: float) -> Tensor:
    known = (targets >= 0).float()
    smoothed = targets.clamp(smooth, 1 - smooth)
    each = F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weights, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
