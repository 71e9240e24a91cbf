"""Texts that the moderation classifier judges in a second, and what of that time is its graph.

Rule: the same texts, whole and as vectors made beforehand that drive a compiled graph bare; medians over rounds.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openvino as ov

from haiga.engines.classifier import LocalClassifier
from haiga.models.classifier import ClassifierWeights, WordVectors, build_classifier, read_classifier
from haiga.starter import moderation_path
from haiga.text.words import words

TEXTS = 1024
LONG = 50  # words of a text; as tokens of a language model, more
COMMON = "the of to and in is it you that he was for on are with as his they be at one have this from or had by hot"


@dataclass(frozen=True, slots=True)
class Rates:
    """Texts a second: asked for one by one, asked for together, and through the graph alone."""

    single: float
    together: float
    bare: float

    @property
    def ratio(self) -> float:
        return self.together / self.bare


def run(rounds: int) -> Rates:
    """Of the classifier that ships."""
    texts = _texts()
    classifier = LocalClassifier(moderation_path())
    try:
        single = _rate(rounds, lambda: asyncio.run(_one_by_one(classifier, texts[: TEXTS // 8])), TEXTS // 8)
        together = _rate(rounds, lambda: asyncio.run(_together(classifier, texts)), TEXTS)
    finally:
        classifier.close()
    return Rates(single, together, _bare(rounds, texts))


async def _one_by_one(classifier: LocalClassifier, texts: list[str]) -> None:
    for text in texts:
        await classifier.judge([text])


async def _together(classifier: LocalClassifier, texts: list[str]) -> None:
    await classifier.judge(texts)


def _bare(rounds: int, texts: list[str]) -> float:
    shape, weights = read_classifier(moderation_path()), ClassifierWeights(moderation_path())
    properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    graph = ov.Core().compile_model(build_classifier(weights, shape, LONG), "CPU", properties)
    vectors = WordVectors(weights, shape)
    made = [vectors.of([word.text for word in words(text)][:LONG])[None] for text in texts]
    there = np.ones((1, LONG, 1), np.float32)
    return _rate(rounds, lambda: [graph((each, there)) for each in made], TEXTS)


def _rate(rounds: int, work: Callable[[], object], count: int) -> float:
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return count / statistics.median(times)


def _texts() -> list[str]:
    """Words as often as people use them: few very often, many seldom."""
    chance = random.Random(1)
    rare = ["".join(chance.choices("abcdefghiklmnoprstuvw", k=chance.randint(3, 9))) for _ in range(20_000)]
    common = COMMON.split()
    return [
        " ".join(chance.choice(common) if chance.random() < 0.5 else chance.choice(rare) for _ in range(LONG))
        for _ in range(TEXTS)
    ]
