"""The training loop: rows to weights.

Rule: with `steps` given the run is a function of corpus and seed; with `minutes` the clock decides when it ends.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainers.starter.muon import Muon
from trainers.starter.network import Network
from trainers.starter.rows import Row, Rows, stacked


@dataclass(frozen=True, slots=True)
class Plan:
    """`micro_tokens` go through the network at once, `accumulate` times per step. Exactly one of steps, minutes.
    `tools`: the share of the dialogue rows that have tools, before and after the part `turn` of the run.
    `continued`: begins with trained weights."""

    steps: int | None = None
    minutes: float | None = None
    micro_tokens: int = 8192
    accumulate: int = 1
    length: int = 512
    longer: tuple[tuple[int, float], ...] = ((2048, 0.06), (8192, 0.01))
    matrix_rate: float = 5e-3
    other_rate: float = 4e-3
    seed: int = 7
    tools: tuple[float, float] = (0.4, 0.4)
    turn: float = 0.6
    continued: bool = False

    def continuing(self) -> "Plan":
        """The same time for weights that are trained already: gentler, in longer rows, half as many at once."""
        rows = replace(self, micro_tokens=4096, length=1024, longer=((2048, 0.05), (4096, 0.02)), tools=(0.6, 0.4))
        return replace(rows, matrix_rate=3e-3, other_rate=2.5e-3, continued=True, seed=self.seed + 1)


@dataclass(frozen=True, slots=True)
class Report:
    steps: int
    tokens: int
    seconds: float
    loss: float


def dialogue_share(done: float, continued: bool) -> float:
    """How much of the data is dialogue when the part `done` of the run is over."""
    if continued:
        return 0.9
    return 0.3 if done < 0.35 else 0.8 if done < 0.9 else 0.95


def rate(done: float, continued: bool) -> float:
    """Learning rate as a part of its highest: short warm-up, plateau, linear fall over the last 45 percent; continued,
    a longer warm-up and half a cosine."""
    if continued:
        return min(done / 0.03 + 0.02, 0.5 + 0.5 * math.cos(math.pi * done))
    return min(1.0, done / 0.01 + 0.02, max(0.02, (1 - done) / 0.45))


def micro_batch(rows: Rows, plan: Plan, done: float, device: torch.device) -> tuple[Tensor, ...]:
    length = plan.length
    if plan.continued or done > 0.1:
        chances = [1 - sum(share for _, share in plan.longer), *(share for _, share in plan.longer)]
        length = rows.rng.choices([plan.length, *(n for n, _ in plan.longer)], chances)[0]
    talk = dialogue_share(done, plan.continued)
    tools = plan.tools[done > plan.turn]

    def row() -> Row:
        if rows.rng.random() < talk:
            return rows.packed(length, length > plan.length, rows.rng.random() < tools)
        return rows.window(length)

    arrays = stacked(row() for _ in range(plan.micro_tokens // length))
    return tuple(torch.from_numpy(a).to(device) for a in arrays)


def optimizers(network: Network, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embedding and norms (kellerjordan.github.io/posts/muon)."""
    matrices = [p for b in network.blocks for p in b.parameters() if p.dim() == 2]
    inside = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in inside]
    return [
        Muon(matrices, lr=plan.matrix_rate, momentum=0.95, weight_decay=0.05),
        torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(network: Network, rows: Rows, plan: Plan, keep: Callable[[Network], None]) -> Report:
    """Trains in place; `keep` is called every five minutes with the network as it is."""
    device = next(network.parameters()).device
    loss_of = torch.compile(network.loss, dynamic=False)
    engines = optimizers(network, plan)
    highest = [e.param_groups[0]["lr"] for e in engines]
    began = kept = time.monotonic()
    step, done, smooth = 0, 0.0, 0.0
    while done < 1.0:
        for engine, top in zip(engines, highest, strict=True):
            engine.param_groups[0]["lr"] = top * rate(done, plan.continued)
        batches = [micro_batch(rows, plan, done, device) for _ in range(plan.accumulate)]
        weight = sum(float(b[3].sum()) for b in batches)
        total = 0.0
        for batch in batches:
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(*batch) / weight
            torch.autograd.backward(loss)
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for engine in engines:
            engine.step()
            engine.zero_grad(set_to_none=True)
        step += 1
        smooth = total if step == 1 else 0.98 * smooth + 0.02 * total
        now = time.monotonic()
        done = step / plan.steps if plan.steps else (now - began) / (60 * (plan.minutes or 1.0))
        if step % 20 == 0:
            tokens = step * plan.accumulate * plan.micro_tokens
            print(f"step {step} {done:.1%} loss {smooth:.3f} {tokens / (now - began):,.0f} tokens/s", flush=True)
        if now - kept > 300:
            keep(network)
            kept = now
    return Report(step, step * plan.accumulate * plan.micro_tokens, time.monotonic() - began, smooth)
