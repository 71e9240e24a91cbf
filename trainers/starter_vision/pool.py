"""Pictures drawn in advance, and how they are varied when they are learnt from.

Rule: drawing costs as much as learning, so a picture is used several times, each time moved, mirrored, in other colours
or with more grain, as far as its answers stay true.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.starter_vision.lessons import COLOUR, UNKNOWN, labels_of, parts_of, slots_of, things_of
from trainers.starter_vision.material import Material
from trainers.starter_vision.scenes import TASKS, draw
from trainers.starter_vision.tower import Eyes

SHARES = {"colour": 0.05, "shape": 0.14, "count": 0.22, "word": 0.42, "emoji": 0.17}
CHUNK = 1000
ARRAYS = ("pixels", "labels", "kinds", "boxes", "tasks")
MOVE = 3  # pixels that a picture is moved at most
# tasks whose answers stay true in other colours: else shapes would be learnt with the colours that they are drawn in
RECOLOURED = tuple(TASKS.index(task) for task in ("shape", "count", "word"))
ORDERS = np.asarray(list(permutations(range(3))))


@dataclass(frozen=True, slots=True)
class Pool:
    """`pixels` [n, image, image, 3] of 8 bits; `labels`, `kinds` and `boxes` as in lessons; `tasks` by number."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int16]
    kinds: NDArray[np.int16]
    boxes: NDArray[np.float32]
    tasks: NDArray[np.int8]
    talks: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        (folder / "talks.json").write_text(json.dumps(self.talks), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Pool":
        arrays: list[Any] = [np.load(folder / f"{name}.npy") for name in ARRAYS]
        talks = json.loads((folder / "talks.json").read_text(encoding="utf-8"))
        pixels, labels, kinds, boxes, tasks = arrays
        return cls(pixels, labels, kinds, boxes, tasks, tuple((asked, said) for asked, said in talks))

    @classmethod
    def joined(cls, pools: Sequence["Pool"]) -> "Pool":
        arrays: list[Any] = [np.concatenate([getattr(pool, name) for pool in pools]) for name in ARRAYS]
        pixels, labels, kinds, boxes, tasks = arrays
        return cls(pixels, labels, kinds, boxes, tasks, tuple(talk for pool in pools for talk in pool.talks))


def drawn(material: Material, eyes: Eyes, count: int, seed: int, workers: int) -> Pool:
    """`count` scenes of training, at least; the same for the same seed."""
    work = partial(_chunk, material, eyes, seed)
    numbers = range(-(-count // CHUNK))
    if workers < 2:
        return Pool.joined([work(number) for number in numbers])
    with ProcessPoolExecutor(workers, get_context("fork")) as processes:
        return Pool.joined(list(processes.map(work, numbers)))


def _chunk(material: Material, eyes: Eyes, seed: int, number: int) -> Pool:
    rng = Random(f"{seed} {number}")
    tasks = rng.choices(TASKS, [SHARES[task] for task in TASKS], k=CHUNK)
    scenes = [draw(task, rng, material, held=False) for task in tasks]
    kinds, boxes = parts_of(scenes, things_of(material))
    return Pool(
        np.stack([prepared(scene.picture, eyes) for scene in scenes]),
        labels_of(scenes, slots_of(material)),
        kinds,
        boxes,
        np.asarray([TASKS.index(task) for task in tasks], np.int8),
        tuple((scene.question, scene.answer) for scene in scenes),
    )


def prepared(picture: Image.Image, eyes: Eyes) -> NDArray[np.uint8]:
    """The picture's pixels as the tower's processor resizes them: its longer side first, then both."""
    ratio = eyes.image / max(picture.size)
    first = [max(1, int(side * ratio)) for side in picture.size]
    first = [side + side % 2 for side in first]
    small = picture.resize((first[0], first[1]), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((eyes.image, eyes.image), Image.Resampling.BICUBIC))


def varied(pool: Pool, rows: NDArray[np.int64], rng: np.random.Generator) -> Pool:
    """The rows of the pool, their pixels and boxes varied."""
    pixels, boxes, tasks = pool.pixels[rows].copy(), pool.boxes[rows].copy(), pool.tasks[rows]
    side, moves, labels = pixels.shape[1], rng.integers(-MOVE, MOVE + 1, (len(rows), 2)), pool.labels[rows].copy()
    for row, (x, y) in enumerate(moves):
        one = pixels[row]
        if tasks[row] in RECOLOURED and rng.random() < 0.8:
            one = one[..., ORDERS[rng.integers(len(ORDERS))]]
            one = 255 - one if rng.random() < 0.5 else one
            labels[row, COLOUR] = UNKNOWN
        elif tasks[row] == TASKS.index("emoji") and rng.random() < 0.5:
            one = one[:, ::-1]
            boxes[row, :, [0, 2]] = 1 - boxes[row, :, [2, 0]]
        ys, xs = (np.clip(np.arange(side) - by, 0, side - 1) for by in (y, x))
        pixels[row] = one[ys][:, xs]
    boxes += np.concatenate((moves, moves), axis=1)[:, None].astype(np.float32) / side
    talks = tuple(pool.talks[row] for row in rows)
    return Pool(_grained(pixels, rng), labels, pool.kinds[rows], boxes, tasks, talks)


def _grained(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Three of ten with grain, the same in all colours."""
    chosen = rng.random(len(pixels)) < 0.3
    some = pixels[chosen]
    noise = rng.standard_normal((*some.shape[:3], 1), np.float32) * rng.uniform(2, 10, (len(some), 1, 1, 1))
    pixels[chosen] = np.clip(some + noise, 0, 255).astype(np.uint8)
    return pixels
