"""The training loop: scenes and dialogues to weights.

Rule: only what the assistant says counts. Rows of the starter's own dialogues go along, so that what it could say
without a picture it can say still.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from trainers.starter import dialogues, vocabulary
from trainers.starter.muon import Muon
from trainers.starter_vision.material import Material
from trainers.starter_vision.network import Eyes, prepared, shown
from trainers.starter_vision.scenes import TASKS, draw, spelling_lesson

Batch = dict[str, Any]
SHARES = {"colour": 0.12, "shape": 0.14, "count": 0.2, "word": 0.27, "emoji": 0.27}


@dataclass(frozen=True, slots=True)
class Plan:
    """Exactly one of steps, minutes. `pictures` and `talks` are rows of one step with and without one; `room` is how
    many tokens a row has besides its picture; rates are of the tower and of the text model."""

    steps: int | None = None
    minutes: float | None = None
    pictures: int = 96
    talks: int = 16
    room: int = 64
    length: int = 256
    rate: float = 3e-3
    text_rate: float = 1e-3
    workers: int = 0
    seed: int = 11


@dataclass(frozen=True, slots=True)
class Report:
    steps: int
    pictures: int
    seconds: float
    loss: float


class Rows(IterableDataset[Batch]):
    """Batches without end; each worker draws its own."""

    def __init__(
        self,
        material: Material,
        tokenizer: Tokenizer,
        eyes: Eyes,
        plan: Plan,
        makers: tuple[tuple[dialogues.Maker, float], ...],
    ) -> None:
        self.material = material
        self.text = tokenizer.to_str()
        self.eyes = eyes
        self.plan = plan
        self.makers = makers

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = Random(f"{self.plan.seed} {worker.id if worker else 0}")
        tokenizer = Tokenizer.from_str(self.text)
        talk = dialogues.stream(self.makers, rng) if self.makers else None
        while True:
            yield {**self._pictured(rng, tokenizer), **self._spoken(rng, tokenizer, talk)}

    def _pictured(self, rng: Random, tokenizer: Tokenizer) -> Batch:
        length = self.eyes.tokens + self.plan.room
        tasks = rng.choices(TASKS, [SHARES[task] for task in TASKS], k=self.plan.pictures)
        scenes = [draw(task, rng, self.material, held=False) for task in tasks]
        rows = [self._row(tokenizer, shown(s.question, self.eyes), s.answer, length) for s in scenes]
        pixels = np.stack([prepared(scene.picture, self.eyes) for scene in scenes])
        return {
            "pixels": pixels,
            "ids": np.stack([ids for ids, _ in rows]),
            "targets": np.stack([to for _, to in rows]),
        }

    def _row(
        self, tokenizer: Tokenizer, prompt: str, answer: str, length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and targets; -100 where nothing is to be said."""
        before = tokenizer.encode(prompt).ids
        said = tokenizer.encode(answer + vocabulary.STOP).ids
        return _targeted(before + said, [0.0] * len(before) + [1.0] * len(said), length)

    def _spoken(self, rng: Random, tokenizer: Tokenizer, talk: Iterator[dialogues.Dialogue] | None) -> Batch:
        if not self.plan.talks:
            return {}
        rows = [self._talked(rng, tokenizer, talk) for _ in range(self.plan.talks)]
        return {"talk_ids": np.stack([ids for ids, _ in rows]), "talk_targets": np.stack([to for _, to in rows])}

    def _talked(
        self, rng: Random, tokenizer: Tokenizer, talk: Iterator[dialogues.Dialogue] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids: list[int] = []
        weights: list[float] = []
        while len(ids) < self.plan.length:
            turns = spelling_lesson(rng, self.material) if talk is None or rng.random() < 0.3 else next(talk)
            new, said = vocabulary.encode(tokenizer, turns, 0.0)
            ids += new
            weights += said
        return _targeted(ids, weights, self.plan.length)


def _targeted(ids: list[int], said: list[float], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids, said = ids[: length + 1], said[: length + 1]
    row, targets = np.zeros(length + 1, np.int64), np.full(length + 1, -100, np.int64)
    row[: len(ids)] = ids
    chosen = np.asarray(said) > 0
    targets[: len(ids)][chosen] = row[: len(ids)][chosen]
    return row[:-1], targets[1:]


def optimizers(model: Any, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of layers, AdamW for all else; the text model, which can speak, is moved more gently."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, part in model.named_parameters():
        matrix = part.dim() == 2 and ".layers." in name
        groups.setdefault((matrix, "language_model" in name), []).append(part)
    rates = {False: plan.rate, True: plan.text_rate}
    made: list[torch.optim.Optimizer] = []
    for (matrix, text), parts in groups.items():
        rate = rates[text]
        made.append(
            Muon(parts, lr=rate, momentum=0.95, weight_decay=0.02)
            if matrix
            else torch.optim.AdamW(parts, lr=rate / 2, betas=(0.9, 0.98), weight_decay=0.0)
        )
    return made


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """The mean cross entropy of what is to be said, in nats; pictures and dialogues count alike by token."""
    total, count = torch.zeros((), device=batch["ids"].device), 0
    given = [(batch["ids"], batch["targets"], {"pixel_values": batch["pixels"]})]
    if "talk_ids" in batch:
        given.append((batch["talk_ids"], batch["talk_targets"], {}))
    for ids, targets, more in given:
        logits = model(input_ids=ids, use_cache=False, **more).logits.float()
        wanted = targets != -100
        total = total + torch.nn.functional.cross_entropy(logits[wanted], targets[wanted], reduction="sum")
        count += int(wanted.sum())
    return total / count


def train(model: Any, rows: Rows, plan: Plan, keep: Callable[[Any], None]) -> Report:
    """Trains in place; `keep` is called every five minutes with the model as it is."""
    device = next(model.parameters()).device
    engines = optimizers(model, plan)
    highest = [engine.param_groups[0]["lr"] for engine in engines]
    loader = iter(DataLoader(rows, batch_size=None, num_workers=plan.workers))
    began = kept = time.monotonic()
    step, done, smooth = 0, 0.0, 0.0
    while done < 1.0:
        scale = min(done / 0.03 + 0.02, 0.5 + 0.5 * math.cos(math.pi * done))
        for engine, top in zip(engines, highest, strict=True):
            engine.param_groups[0]["lr"] = top * scale
        batch = {name: torch.as_tensor(part).to(device) for name, part in next(loader).items()}
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_of(model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for engine in engines:
            engine.step()
            engine.zero_grad(set_to_none=True)
        step += 1
        now_lost = float(loss.detach())
        smooth = now_lost if step == 1 else 0.98 * smooth + 0.02 * now_lost
        now = time.monotonic()
        done = step / plan.steps if plan.steps else (now - began) / (60 * (plan.minutes or 1.0))
        if step % 20 == 0:
            rate = step * plan.pictures / (now - began)
            print(f"step {step} {done:.1%} loss {smooth:.3f} {rate:,.0f} pictures/s", flush=True)
        if now - kept > 300:
            keep(model)
            kept = now
    return Report(step, step * plan.pictures, time.monotonic() - began, smooth)
