"""The judge: a small network that says colour, shape and background of a picture with one shape.

Rule: it learns from renders alone and never sees what the image model paints; what it is tested with is drawn from
another source of chance, every pair of colour and shape among it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from trainers.starter_image.clock import worked
from trainers.starter_image.scenes import SINGLE, Scene, paint
from trainers.starter_vision.painting import COLOURS, SHAPES

LABELS = (tuple(COLOURS), SHAPES, tuple(COLOURS))  # colour, shape, background
WEIGHTS = Path(__file__).with_name("judge.safetensors")  # of the judge that the card's figures are by
PARTS = tuple(len(labels) for labels in LABELS)


@dataclass(frozen=True, slots=True)
class Verdict:
    colour: str
    shape: str
    behind: str


class Judge(nn.Module):
    """Five convolutions; 0.3 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96, 128)
        self.body = nn.Sequential(
            *_layer(3, widths[0], 1),
            *[layer for one, two in pairwise(widths) for layer in _layer(one, two, 2)],
        )
        self.head = nn.Linear(128 * 4 * 4, sum(PARTS))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[pictures, 3, 64, 64] of -1..1 to scores of each of LABELS."""
        scores: torch.Tensor = self.head(self.body(pixels).flatten(1))
        return torch.split(scores, list(PARTS), dim=1)


def _layer(one: int, two: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(one, two, 3, stride=stride, padding=1), nn.BatchNorm2d(two), nn.ReLU()


def seen(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """[pictures, 3, 64, 64] of -1..1"""
    pixels = np.stack([np.asarray(picture.convert("RGB").resize((64, 64)), np.float32) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).div(127.5).sub(1)


def draw(count: int, rng: Random) -> tuple[torch.Tensor, torch.Tensor]:
    """Renders, a little soft and grainy in part, as painted pictures are; and their labels [pictures, 3]."""
    scenes = [rng.choice(SINGLE) for _ in range(count)]
    pixels = seen([_softened(paint(scene, rng), rng) for scene in scenes])
    return pixels, torch.tensor([labels_of(scene) for scene in scenes])


def _softened(picture: Image.Image, rng: Random) -> Image.Image:
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7)))
    if rng.random() < 0.5:
        grain: NDArray[np.float64] = np.random.default_rng(rng.getrandbits(32)).normal(
            0, rng.uniform(1, 5), (64, 64, 3)
        )
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    return picture


def labels_of(scene: Scene) -> tuple[int, int, int]:
    one, two, three = (
        labels.index(name) for labels, name in zip(LABELS, (scene.colour, scene.shape, scene.ground), strict=True)
    )
    return one, two, three


def train(pixels: torch.Tensor, labels: torch.Tensor, minutes: float, batch: int = 64) -> Judge:
    """A new judge, taught for so long."""
    torch.manual_seed(1)
    judge = Judge()
    cast(Any, judge).to(memory_format=torch.channels_last)
    engine = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    began, done = worked(), 0.0
    while done < 1.0:
        engine.param_groups[0]["lr"] = 2e-3 * (1 - done)
        some = torch.randint(len(pixels), (batch,))
        with torch.autocast("cpu", torch.bfloat16):
            scores = judge(_moved(pixels[some]))
        loss = sum(functional.cross_entropy(each.float(), labels[some, at]) for at, each in enumerate(scores))
        torch.autograd.backward(cast(torch.Tensor, loss))
        engine.step()
        engine.zero_grad(set_to_none=True)
        done = (worked() - began) / (60 * minutes)
    return judge.eval()


def _moved(pixels: torch.Tensor) -> torch.Tensor:
    """Mirrored, as all shapes allow, and moved a little; what leaves at one side comes back at the other."""
    if torch.rand(()) < 0.5:
        pixels = pixels.flip(3)
    x, y = torch.randint(-3, 4, (2,)).tolist()
    return pixels.roll((x, y), (2, 3)).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def judged(judge: Judge, pixels: torch.Tensor) -> list[Verdict]:
    best = [scores.argmax(1).tolist() for scores in judge.eval()(pixels)]
    return [
        Verdict(*(labels[at] for labels, at in zip(LABELS, places, strict=True))) for places in zip(*best, strict=True)
    ]


def share_right(judge: Judge, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    """How often colour and shape are both right."""
    verdicts = judged(judge, pixels)
    wanted = [(LABELS[0][one], LABELS[1][two]) for one, two, _ in labels.tolist()]
    right = sum((each.colour, each.shape) == pair for each, pair in zip(verdicts, wanted, strict=True))
    return right / len(wanted)


def save(judge: Judge, file: Path) -> None:
    """Weights in float16, in rows, as safetensors wants them."""
    state = judge.state_dict().items()
    save_file({name: (part.half() if part.is_floating_point() else part).contiguous() for name, part in state}, file)


def load(file: Path) -> Judge:
    judge = Judge()
    stored: dict[str, Any] = load_file(file)
    judge.load_state_dict({name: part.float() if part.is_floating_point() else part for name, part in stored.items()})
    return judge.eval()
