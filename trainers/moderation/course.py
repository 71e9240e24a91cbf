"""The course of a training: rates that rise and then fall, by steps or by the clock.

Rule: the table has an optimizer of its own, since a batch touches few of its rows.
"""

import math
import time
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from trainers.moderation.network import Network

RISE = 0.06  # share of the course in which the rates rise
CLIPPED = 1.0  # norm of the gradients, without the table's


class Course:
    """Of a network and `more` parameters that are trained beside it, for so many steps, or `minutes` at most."""

    def __init__(
        self,
        network: Network,
        rate: float,
        table_rate: float,
        steps: int,
        minutes: float | None,
        more: Iterable[nn.Parameter] = (),
    ) -> None:
        self._began, self._step, self._steps, self._minutes = time.monotonic(), 0, steps, minutes
        own = [each for name, each in network.named_parameters() if not name.startswith("table.")]
        self._dense = [*own, *more]
        self._optimizers = [
            torch.optim.AdamW(self._dense, lr=rate, weight_decay=0.02, betas=(0.9, 0.98), fused=True),
            torch.optim.SparseAdam(network.table.parameters(), lr=table_rate),
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
        """The share of the course that is over."""
        late = 0.0 if self._minutes is None else self.elapsed / (60 * self._minutes)
        return max(self._step / self._steps, late)

    def step(self, loss: Tensor) -> None:
        self._step += 1
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._dense, CLIPPED)
        for optimizer, schedule in zip(self._optimizers, self._schedules, strict=True):
            optimizer.step()
            schedule.step()


def _share(done: float) -> float:
    """Of the rate: RISE of the way up, then down along a cosine."""
    return done / RISE if done < RISE else 0.5 * (1 + math.cos(math.pi * min(1.0, (done - RISE) / (1 - RISE))))
