"""Training: the table begins with what words mean in plain text, then labels are learned.

Rule: an unknown label costs nothing; rare labels weigh more.
"""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haiga.core.moderation import CATEGORIES
from haiga.text.grams import Grams
from haiga.text.words import words
from trainers.moderation import vectors
from trainers.moderation.examples import Example
from trainers.moderation.lessons import NOTHING, Batch, Lessons, Mixing
from trainers.moderation.network import Network, Shape, there


@dataclass(frozen=True, slots=True)
class Plan:
    epochs: int = 6
    batch: int = 64
    rate: float = 2e-3
    table_rate: float = 1e-3
    smooth: float = 0.02  # labels are 0.98 and 0.02
    rare: float = 0.3  # a label's weight is its share to the power of minus this
    seed: int = 1
    minutes: float | None = None  # at most: the rates fall faster where it would take longer
    mixing: Mixing = field(default_factory=Mixing)


def begun(shape: Shape, meanings: Mapping[str, NDArray[np.float32]], seed: int) -> Network:
    """A network that knows no more than the words' meanings."""
    torch.manual_seed(seed)
    network = Network(shape, len(CATEGORIES))
    print(f"words explained: {vectors.begin(network, meanings, seed):.2f}", flush=True)
    return network


def train(
    network: Network, examples: Sequence[Example], plan: Plan, keep: Callable[[Network], None] = lambda network: None
) -> Network:
    """The network when it has seen `epochs` picks of the examples; `keep` is given it after each."""
    chance, shape = random.Random(plan.seed), network.shape
    network.train()
    lessons = Lessons(examples, shape, plan.mixing)
    course = _Course(network, plan, _weights(examples, plan.rare), lessons.count())
    epoch = 0
    while course.done < 1:
        losses = [
            course.step(batch) for batch in takewhile(lambda _: course.done < 1, lessons.epoch(plan.batch, chance))
        ]
        epoch += 1
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}, {course.elapsed:.0f} s, {course.done:.3f} done", flush=True)
        keep(network)
    return network.eval()


class _Course:
    """The optimizers and what they have come to."""

    def __init__(self, network: Network, plan: Plan, weights: Tensor, count: int) -> None:
        self._network, self._plan, self._weights = network, plan, weights
        self._began, self._step = time.monotonic(), 0
        self._steps = plan.epochs * -(-count // plan.batch)
        self._rest = [each for name, each in network.named_parameters() if not name.startswith("table.")]
        self._optimizers = [
            torch.optim.AdamW(self._rest, lr=plan.rate, weight_decay=0.02, betas=(0.9, 0.98)),
            torch.optim.SparseAdam(network.table.parameters(), lr=plan.table_rate),  # a batch touches few of its rows
        ]
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: _share(self.done)) for optimizer in self._optimizers
        ]

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self._began

    @property
    def done(self) -> float:
        """The share of the course, by steps or by the clock."""
        late = 0.0 if self._plan.minutes is None else self.elapsed / (60 * self._plan.minutes)
        return max(self._step / self._steps, late)

    def step(self, batch: Batch) -> float:
        """The loss."""
        self._step += 1
        read = self._network.table(batch.rows)[batch.places]
        features = self._network.features(read, there(batch.places))
        loss = _loss(self._network.judge(features), batch.targets, self._weights, self._plan.smooth)
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._rest, 1.0)
        for optimizer, schedule in zip(self._optimizers, self._schedules, strict=True):
            optimizer.step()
            schedule.step()
        return loss.item()


def logits(network: Network, texts: Sequence[str], batch: int = 64) -> NDArray[np.float32]:
    """[N, categories], in the order of the texts."""
    shape = network.shape
    grams = Grams(shape.rows, shape.grams)
    read = [[word.text for word in words(text)][: shape.window] or [NOTHING] for text in texts]
    order = sorted(range(len(texts)), key=lambda n: len(read[n]))
    answer = np.zeros((len(texts), len(CATEGORIES)), np.float32)
    with torch.no_grad():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            rows = np.stack([grams.table(read[n], len(read[part[-1]])) for n in part])
            answer[part] = network(torch.from_numpy(rows).long()).numpy()
    return answer


def vocabulary(texts: Sequence[str], often: Sequence[str], count: int) -> list[str]:
    """Every word of `texts`, and the most frequent ones of `often`, up to `count`."""
    own = Counter(word.text for text in texts for word in words(text))
    others = Counter(word.text for text in often for word in words(text) if word.text.isalpha())
    found = [*own, *(word for word, times in others.most_common() if times > 2 and word not in own)]
    return [word for word in found if not word.startswith("<")][:count]


def _share(done: float) -> float:
    """Of the rate: a tenth of the way up, then down along a cosine."""
    return done / 0.1 if done < 0.1 else 0.5 * (1 + math.cos(math.pi * min(1.0, (done - 0.1) / 0.9)))


def _weights(examples: Sequence[Example], rare: float) -> Tensor:
    share = torch.tensor([sum(name in e.labels for e in examples) / len(examples) for name in CATEGORIES])
    return (share.clamp(min=1e-3) / share.max()) ** -rare


def _loss(logits: Tensor, targets: Tensor, weights: Tensor, smooth: float) -> Tensor:
    known = (targets >= 0).float()
    smoothed = targets.clamp(smooth, 1 - smooth)
    each = F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weights, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
