"""The first half of the training: pictures to a tower that tells what is in them.

Rule: no text model takes part; the tokens that the tower gives are held against the text model's embeddings.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trainers.starter.muon import Muon
from trainers.starter_vision.lessons import UNKNOWN, Heads, Slots, shown_by
from trainers.starter_vision.pool import Pool, varied
from trainers.starter_vision.tower import Tower, patches_of


@dataclass(frozen=True, slots=True)
class Lessons:
    """`minutes` or `steps`; `pictures` of a step; `local`: layers behind which patches tell what they show; rates of
    matrices and of all else."""

    minutes: float | None = None
    steps: int | None = None
    pictures: int = 64
    local: int = 3
    rate: float = 4e-3
    other_rate: float = 1.5e-3
    compiled: bool = True
    seed: int = 11


@dataclass(frozen=True, slots=True)
class Report:
    steps: int
    pictures: int
    seconds: float


def optimizers(named: dict[str, nn.Parameter], lessons: Lessons) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of layers and connector, AdamW for all else."""
    matrices = {name: p for name, p in named.items() if p.dim() == 2 and ("layers." in name or "connector" in name)}
    others = [p for name, p in named.items() if name not in matrices]
    return [
        Muon(list(matrices.values()), lr=lessons.rate, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW(others, lr=lessons.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rows_of(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Places in the pool, each picture once before any comes again."""
    while True:
        order = rng.permutation(len(pool))
        for start in range(0, len(order) - count + 1, count):
            yield order[start : start + count]


def rate(done: float) -> float:
    """As a part of its highest: a short warm-up, a plateau, then a line down."""
    return min(1.0, done / 0.02 + 0.02, max(0.01, (1 - done) / 0.5))


def train_tower(
    tower: Tower, heads: Heads, pool: Pool, slots: Slots, lessons: Lessons, keep: Callable[[], None]
) -> Report:
    """Trains in place; `keep` is called every five minutes."""
    eyes, rng = tower.eyes, np.random.default_rng(lessons.seed)
    named = {**dict(tower.named_parameters(prefix="tower")), **dict(heads.named_parameters(prefix="heads"))}
    engines = optimizers(named, lessons)
    tops = [engine.param_groups[0]["lr"] for engine in engines]

    def both(patches: Tensor) -> tuple[Tensor, Tensor]:
        middle = tower.states(patches, lessons.local)
        return middle, tower.folded(tower.states(middle, eyes.layers, lessons.local))

    run = torch.compile(both, dynamic=False) if lessons.compiled else both
    began = kept = time.monotonic()
    step, done = 0, 0.0
    smooth, hits = np.zeros(3), np.zeros((len(slots), 2))
    rows = rows_of(pool, lessons.pictures, rng)
    while done < 1.0:
        for engine, top in zip(engines, tops, strict=True):
            engine.param_groups[0]["lr"] = top * rate(done)
        batch = varied(pool, next(rows), rng)
        labels = torch.from_numpy(batch.labels).long()
        shown = shown_by(torch.from_numpy(batch.kinds).long(), torch.from_numpy(batch.boxes), eyes.side)
        with torch.autocast("cpu", torch.bfloat16):
            middle, tokens = run(patches_of(torch.from_numpy(batch.pixels), eyes))
            losses = heads.loss(middle, tokens, labels, shown)
        torch.autograd.backward(losses[0] + 0.7 * losses[1] + 0.7 * losses[2])
        torch.nn.utils.clip_grad_norm_(named.values(), 1.0)
        for engine in engines:
            engine.step()
            engine.zero_grad(set_to_none=True)
        step += 1
        smooth = 0.95 * smooth + 0.05 * np.asarray([float(each.detach()) for each in losses])
        now = time.monotonic()
        done = step / lessons.steps if lessons.steps else (now - began) / (60 * (lessons.minutes or 1.0))
        if step % 10 == 0:
            hits *= 0.8
            for at, logits in enumerate(heads.slots(tokens.detach())):
                known = labels[:, at] != UNKNOWN
                hits[at] += int((logits.argmax(1) == labels[:, at])[known].sum()), int(known.sum())
        if step % 50 == 0:
            told = " ".join(f"{slot} {right / max(of, 1):.0%}" for slot, (right, of) in zip(slots, hits, strict=True))
            losses_told = " ".join(f"{each:.3f}" for each in smooth / (1 - 0.95**step))
            speed = step * lessons.pictures / (now - began)
            print(f"step {step} {done:.1%} losses {losses_told} {speed:,.0f} pictures/s; {told}", flush=True)
        if now - kept > 300:
            keep()
            kept = now
    return Report(step, step * lessons.pictures, time.monotonic() - began)
