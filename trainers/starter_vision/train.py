"""The training loop: scenes and dialogues to weights.

Rule: first the tower alone learns to tell what is in a picture (lessons.py), then everything learns to answer. Only
what the assistant says counts. Rows of the starter's own dialogues go along, so that what it could say
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
from trainers.starter_vision.lessons import Slots, labels_of, slots_of
from trainers.starter_vision.material import Material
from trainers.starter_vision.network import Eyes, prepared, shown
from trainers.starter_vision.scenes import TASKS, Scene, draw, spelling_lesson

Batch = dict[str, Any]
SHARES = {"colour": 0.12, "shape": 0.14, "count": 0.2, "word": 0.27, "emoji": 0.27}


@dataclass(frozen=True, slots=True)
class Plan:
    """Exactly one of steps, minutes. `pictures` and `talks` are rows of one step with and without a picture, the latter
    of `length` tokens; `lessons` is the part of the run in which the tower learns alone, with `alone` pictures a step.
    Rates are of the tower and of the text model."""

    steps: int | None = None
    minutes: float | None = None
    pictures: int = 64
    talks: int = 4
    length: int = 256
    lessons: float = 0.6
    alone: int = 128
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


@dataclass(frozen=True, slots=True)
class Source:
    """What batches are drawn from; each worker draws its own."""

    material: Material
    tokenizer: Tokenizer
    eyes: Eyes
    plan: Plan
    makers: tuple[tuple[dialogues.Maker, float], ...]


class Lessons(IterableDataset[Batch]):
    """Pictures with what is in their slots, without end."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Batch]:
        source, rng, slots = self.source, _chance(self.source.plan, "lessons"), slots_of(self.source.material)
        while True:
            scenes = _scenes(rng, source, source.plan.alone)
            yield {"pixels": _pixels(scenes, source.eyes), "labels": labels_of(scenes, slots)}


class Rows(IterableDataset[Batch]):
    """Pictures with questions and answers, and dialogues without pictures, without end."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Batch]:
        source, rng = self.source, _chance(self.source.plan, "rows")
        talk = dialogues.stream(source.makers, rng) if source.makers else None
        while True:
            yield {**self._pictured(rng), **self._spoken(rng, talk)}

    def _pictured(self, rng: Random) -> Batch:
        scenes = _scenes(rng, self.source, self.source.plan.pictures)
        encode = self.source.tokenizer.encode
        prompts = [encode(shown(scene.question, self.source.eyes)).ids for scene in scenes]
        said = [encode(scene.answer + vocabulary.STOP).ids for scene in scenes]
        length = max(len(p) + len(s) for p, s in zip(prompts, said, strict=True)) - 1
        rows = [_targeted(p + s, [0.0] * len(p) + [1.0] * len(s), length) for p, s in zip(prompts, said, strict=True)]
        ids, targets = (np.stack(parts) for parts in zip(*rows, strict=True))
        return {"pixels": _pixels(scenes, self.source.eyes), "ids": ids, "targets": targets}

    def _spoken(self, rng: Random, talk: Iterator[dialogues.Dialogue] | None) -> Batch:
        if not self.source.plan.talks:
            return {}
        rows = [self._talked(rng, talk) for _ in range(self.source.plan.talks)]
        ids, targets = (np.stack(parts) for parts in zip(*rows, strict=True))
        return {"talk_ids": ids, "talk_targets": targets}

    def _talked(
        self, rng: Random, talk: Iterator[dialogues.Dialogue] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        source, ids, weights = self.source, list[int](), list[float]()
        while len(ids) <= source.plan.length:
            turns = spelling_lesson(rng, source.material) if talk is None or rng.random() < 0.3 else next(talk)
            new, said = vocabulary.encode(source.tokenizer, turns, 0.0)
            ids += new
            weights += said
        return _targeted(ids, weights, source.plan.length)


def _chance(plan: Plan, what: str) -> Random:
    worker = get_worker_info()
    return Random(f"{plan.seed} {what} {worker.id if worker else 0}")


def _scenes(rng: Random, source: Source, count: int) -> list[Scene]:
    tasks = rng.choices(TASKS, [SHARES[task] for task in TASKS], k=count)
    return [draw(task, rng, source.material, held=False) for task in tasks]


def _pixels(scenes: list[Scene], eyes: Eyes) -> NDArray[np.float32]:
    return np.stack([prepared(scene.picture, eyes) for scene in scenes])


def _targeted(ids: list[int], said: list[float], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids, said = ids[: length + 1], said[: length + 1]
    row, targets = np.zeros(length + 1, np.int64), np.full(length + 1, -100, np.int64)
    row[: len(ids)] = ids
    chosen = np.asarray(said) > 0
    targets[: len(ids)][chosen] = row[: len(ids)][chosen]
    return row[:-1], targets[1:]


def optimizers(parts: dict[str, torch.nn.Parameter], plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of layers, AdamW for all else; the text model, which can speak, is moved more gently."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, part in parts.items():
        groups.setdefault((part.dim() == 2 and ".layers." in name, "language_model" in name), []).append(part)
    made: list[torch.optim.Optimizer] = []
    for (matrix, text), some in groups.items():
        rate = plan.text_rate if text else plan.rate
        made.append(
            Muon(some, lr=rate, momentum=0.95, weight_decay=0.02)
            if matrix
            else torch.optim.AdamW(some, lr=rate / 2, betas=(0.9, 0.98), weight_decay=0.0)
        )
    return made


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """The mean cross entropy of what is to be said, in nats; pictures and dialogues count alike by token."""
    given = [(batch["ids"], batch["targets"], {"pixel_values": batch["pixels"]})]
    if "talk_ids" in batch:
        given.append((batch["talk_ids"], batch["talk_targets"], {}))
    total, count = torch.zeros((), device=batch["ids"].device), 0
    for ids, targets, more in given:
        hidden = model.model(input_ids=ids, use_cache=False, **more).last_hidden_state
        wanted = targets != -100
        logits = model.lm_head(hidden[wanted]).float()  # of the few places where something is to be said
        total = total + torch.nn.functional.cross_entropy(logits, targets[wanted], reduction="sum")
        count += int(wanted.sum())
    return total / count


def tower_loss(model: Any, slots: Slots, batch: Batch) -> torch.Tensor:
    states = model.model.vision_tower(batch["pixels"], output_hidden_states=True).hidden_states[-1]
    return slots.loss(states, batch["labels"])


def train(model: Any, source: Source, keep: Callable[[Any], None]) -> Report:
    """Trains in place: the tower alone, then all. `keep` is called every five minutes with the model as it is."""
    plan, device = source.plan, next(model.parameters()).device
    slots = Slots(source.eyes.width, slots_of(source.material)).to(device)
    began = time.monotonic()
    tower = {f"tower.{name}": part for name, part in model.model.vision_tower.named_parameters()}
    alone = {**tower, **{f"slots.{name}": part for name, part in slots.named_parameters()}}
    first = _run(_Part(alone, Lessons(source), plan, plan.lessons), lambda batch: tower_loss(model, slots, batch))
    whole = _Part(dict(model.named_parameters()), Rows(source), plan, 1 - plan.lessons)
    second = _run(whole, lambda batch: loss_of(model, batch), lambda: keep(model))
    pictures = first.steps * plan.alone + second.steps * plan.pictures
    return Report(first.steps + second.steps, pictures, time.monotonic() - began, second.loss)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the run: what is trained on what, for which share of the plan."""

    weights: dict[str, torch.nn.Parameter]
    rows: "IterableDataset[Batch]"
    plan: Plan
    share: float


def _run(part: _Part, loss_of: Callable[[Batch], torch.Tensor], keep: Callable[[], None] = lambda: None) -> Report:
    plan, device = part.plan, next(iter(part.weights.values())).device
    engines = optimizers(part.weights, plan)
    highest = [engine.param_groups[0]["lr"] for engine in engines]
    loader = iter(DataLoader(part.rows, batch_size=None, num_workers=plan.workers))
    began = kept = time.monotonic()
    step, done, smooth = 0, 0.0, 0.0
    while done < 1.0:
        scale = min(done / 0.03 + 0.02, 0.5 + 0.5 * math.cos(math.pi * done))
        for engine, top in zip(engines, highest, strict=True):
            engine.param_groups[0]["lr"] = top * scale
        batch = {name: torch.as_tensor(values).to(device) for name, values in next(loader).items()}
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_of(batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(part.weights.values(), 1.0)
        for engine in engines:
            engine.step()
            engine.zero_grad(set_to_none=True)
        step += 1
        lost = float(loss.detach())
        smooth = lost if step == 1 else 0.98 * smooth + 0.02 * lost
        now = time.monotonic()
        done = (
            step / (plan.steps * part.share) if plan.steps else (now - began) / (60 * (plan.minutes or 1) * part.share)
        )
        if step % 20 == 0:
            rate = step * len(batch["pixels"]) / (now - began)
            print(f"step {step} {done:.1%} loss {smooth:.3f} {rate:,.0f} pictures/s", flush=True)
        if now - kept > 300:
            keep()
            kept = now
    return Report(step, 0, time.monotonic() - began, smooth)
