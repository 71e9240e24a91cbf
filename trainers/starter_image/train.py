"""Learning to paint: v-prediction over the latents of a pool, with the text encoder learning along.

Rule: minutes of work alone end it (clock.py); what is kept is the running mean of the weights.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch.nn import functional

from trainers.starter_image.clock import worked
from trainers.starter_image.network import CONTEXT, Parts, encoded, noising

SHORT = 24  # tokens: captions have fewer, and the filling up to CONTEXT costs time


@dataclass(frozen=True, slots=True)
class Plan:
    minutes: float = 45.0
    rate: float = 1e-3
    batch: int = 32
    dropped: float = 0.1  # captions left empty, for classifier-free guidance
    whole: float = 0.2  # steps with all of CONTEXT, as it is sampled
    steady: float = 0.998  # of the running mean
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    steps: int
    pictures: int
    seconds: float
    loss: float


class Mean:
    """The running mean of weights (Polyak), young ones forgotten faster."""

    def __init__(self, weights: list[torch.nn.Parameter], steady: float) -> None:
        self._weights, self._steady = weights, steady
        self._means = [weight.detach().clone() for weight in weights]
        self._steps = 0

    def follow(self) -> None:
        self._steps += 1
        steady = min(self._steady, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._means, [weight.detach() for weight in self._weights], 1 - steady)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The means stand in the weights' place meanwhile."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """The means take the weights' place."""
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, mean in zip(self._weights, self._means, strict=True):
            kept = weight.detach().clone()
            weight.copy_(mean)
            mean.copy_(kept)


def times(count: int, chance: torch.Generator) -> torch.Tensor:
    """Steps of noise 0..999, spread evenly over their distribution: four of five below 650, where there is something
    left to see."""
    spread = (torch.arange(count) + torch.rand(1, generator=chance)) / count
    return torch.where(spread < 0.8, spread / 0.8 * 650, 650 + (spread - 0.8) / 0.2 * 350).long().clamp(0, 999)


def rate_at(done: float, step: int) -> float:
    """The share of the highest rate: a short rise, level, then down to nothing."""
    fall = 1.0 if done < 0.4 else 0.5 + 0.5 * math.cos(math.pi * (done - 0.4) / 0.6)
    return min((step + 1) / 100, max(fall, 0.02))


def train(
    parts: Parts, latents: torch.Tensor, captions: tuple[str, ...], plan: Plan, keep: Callable[[], None]
) -> Report:
    """Trains in place; the weights are the mean at the end. `keep` is called every five minutes, and sees means."""
    weights, noise, rng = parts.trained(), noising(), Random(plan.seed)
    chance = torch.Generator().manual_seed(plan.seed)
    engine = torch.optim.AdamW(weights, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    mean, step, done, smooth = Mean(weights, plan.steady), 0, 0.0, 0.0
    began = kept = worked()
    while done < 1.0:
        engine.param_groups[0]["lr"] = plan.rate * rate_at(done, step)
        some = torch.randint(len(captions), (plan.batch,), generator=chance)
        said = ["" if rng.random() < plan.dropped else captions[at] for at in some.tolist()]
        length = CONTEXT if rng.random() < plan.whole else SHORT
        loss = loss_of(parts, noise, latents[some].float(), said, length, chance)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        engine.step()
        engine.zero_grad(set_to_none=True)
        mean.follow()
        step, lost = step + 1, float(loss.detach())
        smooth = lost if step == 1 else 0.98 * smooth + 0.02 * lost
        now = worked()
        done = (now - began) / (60 * plan.minutes)
        if step % 25 == 0:
            print(f"step {step} {done:.1%} loss {smooth:.4f} {step * plan.batch / (now - began):,.0f}/s", flush=True)
        if now - kept > 300:
            with mean.shown():
                keep()
            kept = worked()
    mean.settle()
    return Report(step, step * plan.batch, worked() - began, smooth)


def loss_of(
    parts: Parts, noise: Any, clean: torch.Tensor, said: list[str], length: int, chance: torch.Generator
) -> torch.Tensor:
    """The mean squared error of the velocity (Salimans and Ho 2022)."""
    grain = torch.randn(clean.shape, generator=chance)
    at = times(len(clean), chance)
    noisy = noise.add_noise(clean, grain, at)
    with torch.autocast("cpu", torch.bfloat16):
        made = parts.unet(noisy, at, encoded(parts, said, length)).sample
    return functional.mse_loss(made.float(), noise.get_velocity(clean, grain, at))
