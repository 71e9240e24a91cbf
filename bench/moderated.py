"""What moderation costs a stream: one that is judged beside the same one that is not.

Rule: both streams are read in the same rounds, by turns. One engine is the starter, which fights the classifier for the
cores; the other says a token every 25 ms, as a larger model does, so that what is seen is the holding back alone. Where
the embedded classifier is not there, one of its size with random weights is judged by.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from haiga.core.access import Caller
from haiga.core.generation import BlockStarted, BlockStopped, SamplingRequest, TextDelta, TextRequest
from haiga.core.messages import Message, Text
from haiga.core.moderation import CATEGORIES
from haiga.core.ports import Engine
from haiga.engines.classifier import LocalClassifier
from haiga.engines.fake import CARD, FakeEngine, Step
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.moderation import Classifiers, ModerationStage, Moderator, NoImages, Policies
from haiga.services.moderation.audit import Audit
from haiga.starter import moderation_path, text_path

WORDS = "It was a long road and nobody who walked along it ever came back to tell the others what they had seen there. "
PACE = 0.025  # seconds a token
TOKENS = 120
WATCHED = Caller(policy="watch")  # judges all and stops nothing, so that both streams are the same


@dataclass(frozen=True, slots=True)
class Streamed:
    """Seconds to the first words without and with moderation, and tokens a second after that."""

    engine: str
    first: tuple[float, float]
    rate: tuple[float, float]

    @property
    def later(self) -> float:
        """Seconds that moderation adds to the first words."""
        return self.first[1] - self.first[0]

    @property
    def throughput(self) -> float:
        """With moderation over without."""
        return self.rate[1] / self.rate[0]


def run(rounds: int) -> list[Streamed]:
    return asyncio.run(_run(rounds))


async def _run(rounds: int) -> list[Streamed]:
    with TemporaryDirectory() as folder:
        classifier = LocalClassifier(_classifier(Path(folder)))
        streamed = []
        async with _starter() as starter:
            for name, engine in (("the starter", starter), (f"a token every {PACE * 1000:.0f} ms", _paced())):
                streamed.append(await _stream(name, engine, classifier, rounds))
        classifier.close()
    return streamed


async def _stream(name: str, engine: Engine, classifier: LocalClassifier, rounds: int) -> Streamed:
    models = Models({engine.card.name: engine})
    stage = ModerationStage(Policies(), Moderator(Classifiers([classifier])), NoImages(), Audit())
    inference = Inference(models, stages=[stage])
    first: tuple[list[float], list[float]] = [], []
    rates: tuple[list[float], list[float]] = [], []
    for at in range(rounds + 1):
        for with_it in (0, 1) if at % 2 else (1, 0):
            begun, rate = await _one(inference, engine.card.name, WATCHED if with_it else Caller(), at)
            if at:  # the first round warms up
                first[with_it].append(begun)
                rates[with_it].append(rate)
    median = statistics.median
    return Streamed(name, (median(first[0]), median(first[1])), (median(rates[0]), median(rates[1])))


async def _one(inference: Inference, model: str, caller: Caller, at: int) -> tuple[float, float]:
    """Seconds to the first words, and tokens a second from the beginning to the end."""
    said = f"Tell story number {at}."
    sampling = SamplingRequest(temperature=1.0, seed=at)
    request = TextRequest(model, (Message("user", (Text(said),)),), TOKENS, sampling=sampling)
    began, first, tokens = time.perf_counter(), 0.0, 0
    async for event in inference.generate(caller, request):
        if isinstance(event, TextDelta) and not first:
            first = time.perf_counter() - began
        tokens = getattr(getattr(event, "usage", None), "output", 0) or tokens
    return first, tokens / (time.perf_counter() - began)


def _paced() -> FakeEngine:
    pieces: Sequence[str] = [f" {word}" for word in (WORDS * 10).split()[:TOKENS]]
    script: list[Step] = [BlockStarted(0, Text("")), *(TextDelta(0, piece) for piece in pieces), BlockStopped(0)]
    return FakeEngine(replace(CARD, name="paced"), script, pace=PACE)


@asynccontextmanager
async def _starter() -> AsyncIterator[Engine]:
    engine = open_engine(Found.at("starter", text_path(), 0), NativeOptions(weights="f32", cache="f32"))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def _classifier(folder: Path) -> Path:
    if (moderation_path() / "config.json").exists():
        return moderation_path()
    import torch

    from trainers.moderation import checkpoint
    from trainers.moderation.network import Network, Shape

    torch.manual_seed(1)
    many = len(CATEGORIES)
    checkpoint.write(Network(Shape(), many).eval(), folder, [1.0] * many, [0.0] * many, [0.99] * many)
    return folder
