"""How good the pictures are: 200 scenes that training never drew, painted and judged.

Rule: prompts and seeds are fixed before anything is seen, and every picture counts; the grid shows the first of them.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image

from trainers.starter_image import scenes
from trainers.starter_image.judge import Judge, Verdict, judged, seen
from trainers.starter_image.scenes import SIDE, SINGLE, Scene

GUIDANCE, STEPS, SEED = 7.5, 20, 0  # guidance: what a pipeline takes where nothing is said
THINGS = (
    "a red circle on a blue background",
    "a green apple",
    "a cat face",
    "a pizza",
    "a rocket on a black background",
    "a dog face on a green background",
    "a red rose",
    "a smiling face with sunglasses",
)


@dataclass(frozen=True, slots=True)
class Painted:
    scene: Scene
    picture: Image.Image
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether colour and shape are those that were asked for."""
        return (self.verdict.colour, self.verdict.shape) == (self.scene.colour, self.scene.shape)


@dataclass(frozen=True, slots=True)
class Share:
    right: int
    of: int

    @property
    def value(self) -> float:
        return self.right / max(1, self.of)


@dataclass(frozen=True, slots=True)
class Measured:
    """`shares` by what is counted, of so many `prompts`; `judge` the judge's own on renders; `seconds` for one
    picture."""

    prompts: int
    example: str
    shares: dict[str, Share]
    judge: float
    seconds: float
    threads: int


def prompts(count: int = 200) -> list[Scene]:
    """Scenes that are held out, by a fixed chance."""
    held = [scene for scene in SINGLE if scenes.held_out(scene)]
    return Random("measured").sample(held, count)


def paint(
    pipeline: Any, texts: Sequence[str], seed: int = SEED, batch: int = 20, guidance: float = GUIDANCE
) -> list[Image.Image]:
    """A picture for each text; the picture of place n has seed + n, whatever the batch."""
    made: list[Image.Image] = []
    for at in range(0, len(texts), batch):
        some = list(texts[at : at + batch])
        chances = [torch.Generator().manual_seed(seed + at + place) for place in range(len(some))]
        made += pipeline(some, generator=chances, num_inference_steps=STEPS, guidance_scale=guidance).images
    return made


def measure(pipeline: Any, judge: Judge, wanted: Sequence[Scene]) -> list[Painted]:
    pictures = paint(pipeline, [scenes.asked(scene) for scene in wanted])
    verdicts = judged(judge, seen(pictures))
    return [Painted(*each) for each in zip(wanted, pictures, verdicts, strict=True)]


def shares(painted: Sequence[Painted]) -> dict[str, Share]:
    """All, and by what they have in common."""
    new = [each for each in painted if scenes.new_pair(each.scene.colour, each.scene.shape)]
    old = [each for each in painted if not scenes.new_pair(each.scene.colour, each.scene.shape)]
    return {
        "colour and shape": _share(each.right for each in painted),
        "colour": _share(each.verdict.colour == each.scene.colour for each in painted),
        "shape": _share(each.verdict.shape == each.scene.shape for each in painted),
        "background, where one is named": _share(
            each.verdict.behind == each.scene.behind for each in painted if each.scene.behind
        ),
        "colour and shape, where training has this shape in this colour": _share(each.right for each in old),
        "colour and shape, where it has it in no picture": _share(each.right for each in new),
    }


def _share(rights: Iterable[bool]) -> Share:
    found = list(rights)
    return Share(sum(found), len(found))


def example(painted: Sequence[Painted]) -> str:
    """The first prompt."""
    return scenes.asked(painted[0].scene)


def seconds_of(pipeline: Any) -> float:
    """For one picture, the better of three."""
    taken = []
    for seed in range(3):
        began = time.monotonic()
        paint(pipeline, THINGS[:1], seed)
        taken.append(time.monotonic() - began)
    return min(taken)


def grid(pictures: Sequence[Image.Image], columns: int = 8, gap: int = 4) -> Image.Image:
    """The pictures in rows, in their order, on white."""
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * (SIDE + gap) + gap, rows * (SIDE + gap) + gap), "white")
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        whole.paste(picture, (gap + column * (SIDE + gap), gap + row * (SIDE + gap)))
    return whole


def write_grid(pictures: Sequence[Image.Image], file: Path) -> None:
    """At most 200 KB: a picture of few colours is stored in few bytes."""
    grid(pictures).save(file, optimize=True)
