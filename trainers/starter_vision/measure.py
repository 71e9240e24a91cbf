"""What the written checkpoint sees of what training never drew.

Rule: measured in haiga's own engine, in float32 as the starter is served, on the files as they are on disk, greedily;
an answer is right when it says the one thing that is to be seen (scenes.is_right).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from haiga.core.generation import SamplingRequest, TextRequest, fold
from haiga.core.messages import Image, Message, Text, text_of
from haiga.core.pictures import Picture
from haiga.core.ports.models import Engine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from trainers.starter_vision.material import Material
from trainers.starter_vision.scenes import TASKS, Scene, draw, is_right

WANTED = {"colour": 0.9, "shape": 0.9, "count": 0.8, "word": 0.8, "emoji": 0.5}
LONGEST = 24  # tokens of an answer
TOGETHER = 8  # pictures at once


@dataclass(frozen=True, slots=True)
class Score:
    """`examples`: questions with what was said, the wrong ones first."""

    task: str
    right: int
    of: int
    examples: tuple[tuple[Scene, str], ...]

    @property
    def share(self) -> float:
        return self.right / self.of

    @property
    def wanted(self) -> float:
        return WANTED[self.task]


def measure(folder: Path, material: Material, count: int, held: bool = True) -> list[Score]:
    """`count` scenes of each task, all from a seed of their own."""
    drawn = {}
    for task in TASKS:
        rng = Random(f"measured {task}")
        drawn[task] = [draw(task, rng, material, held) for _ in range(count)]
    said = iter(asyncio.run(answers(folder, [scene for scenes in drawn.values() for scene in scenes])))
    return [_score(task, [(scene, next(said)) for scene in scenes]) for task, scenes in drawn.items()]


def _score(task: str, said: list[tuple[Scene, str]]) -> Score:
    judged = sorted(said, key=lambda pair: is_right(*pair))
    return Score(task, sum(is_right(*pair) for pair in judged), len(judged), tuple(judged[:4] + judged[-2:]))


async def answers(folder: Path, scenes: Sequence[Scene]) -> list[str]:
    """What the model says to each scene, greedily."""
    engine = open_engine(Found.at("sees", folder, created=0), NativeOptions(context=512, weights="f32", cache="f32"))
    await engine.start()
    turns = asyncio.Semaphore(TOGETHER)

    async def one(scene: Scene) -> str:
        async with turns:
            return await answer(engine, scene)

    try:
        return await asyncio.gather(*map(one, scenes))
    finally:
        await engine.close()


async def answer(engine: Engine, scene: Scene) -> str:
    """What the engine's model says to a scene."""
    picture = Picture.of(scene.picture.tobytes(), *scene.picture.size)
    message = Message("user", (Image(picture), Text(scene.question)))
    request = TextRequest("sees", (message,), LONGEST, sampling=SamplingRequest(temperature=0), overflow="stop")
    return text_of(fold([event async for event in engine.generate(request)]).content).strip()
