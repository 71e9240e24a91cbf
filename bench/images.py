"""Pictures: what a job adds to diffusers itself, and what it saves that jobs for a loaded model go first.

Rule: both sides take turns in one run. A job is timed from being asked for to its file, in the store; bare diffusers
from its call to its file. Weights are random, of Stable Diffusion 1.5's layout; a step does some work, so that what is
added is seen beside it as it is beside a real one. The starter is as it is: its pictures take little, and what is added
is a larger share of them.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from haiga.core.access import Caller
from haiga.core.images import ImageRequest
from haiga.core.ports import ImageEngine
from haiga.engines.diffusers.fitting import Wanted
from haiga.engines.diffusers.opening import open_pipeline
from haiga.engines.diffusers.setup import Setup
from haiga.services.images import Jobs
from haiga.services.models import Models
from haiga.starter import image_path
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.image_jobs import DatabaseJobs
from tests.pipelines import made

STEPS = 20
SIDE = 128  # pixels; the decoder's scale is 2, so that latents are as wide as those of 512 pixels elsewhere
STARTER_SIDE = 64
WIDTHS = (96, 192)


@dataclass(frozen=True, slots=True)
class Added:
    """Seconds of a picture of a model, medians."""

    name: str
    bare: float
    ours: float

    @property
    def share(self) -> float:
        return self.ours / self.bare - 1


@dataclass(frozen=True, slots=True)
class Order:
    """Jobs for two models of which one fits: seconds of them all, and how often a model was loaded."""

    name: str
    jobs: int
    seconds: float
    loads: int

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.jobs / self.seconds


def run(folder: Path, rounds: int, pictures: int) -> tuple[list[Added], list[Order]]:
    """`pictures`: of each model."""
    one, two = (write(folder / f"painter-{name}") for name in ("one", "two"))
    models = [("random weights", one, SIDE), ("the starter", image_path(), STARTER_SIDE)]
    return [asyncio.run(_added(*model, rounds)) for model in models], asyncio.run(_orders(one, two, pictures))


def write(directory: Path) -> Path:
    """A pipeline with random weights, unless it is there already."""
    if not (directory / "model_index.json").exists():
        pipeline = made("sd15")
        config = {**pipeline.unet.config, "block_out_channels": WIDTHS, "attention_head_dim": 8, "norm_num_groups": 32}
        pipeline.register_modules(unet=type(pipeline.unet).from_config(config))
        pipeline.save_pretrained(directory)
    return directory


async def _added(name: str, directory: Path, side: int, rounds: int) -> Added:
    """The first round warms up and is not counted."""
    bare = _Bare(directory, side)
    async with _jobs({"one": _engine("one", directory)}) as jobs:
        pairs = [(_timed(bare, at), await _one(jobs, "one", at, side=side)) for at in range(rounds + 1)]
    return Added(name, *(statistics.median(times) for times in zip(*pairs[1:], strict=True)))


async def _orders(one: Path, two: Path, pictures: int) -> list[Order]:
    """The same jobs, first asked for one after another as each is done, then all at once."""
    engines = {name: _Counted(_engine(name, directory)) for name, directory in (("one", one), ("two", two))}
    for engine in engines.values():
        await engine.start()  # it knows its memory then
        await engine.close()
    budget = max(engine.memory for engine in engines.values()) * 3 // 2
    wanted = [name for _ in range(pictures) for name in engines]
    return [
        await _order("first come, first served", engines, budget, wanted, together=False),
        await _order("loaded models first", engines, budget, wanted, together=True),
    ]


async def _order(
    name: str, engines: dict[str, "_Counted"], budget: int, wanted: Sequence[str], together: bool
) -> Order:
    async with _jobs(engines, budget) as jobs:
        before, began = sum(engine.loads for engine in engines.values()), time.perf_counter()
        if together:
            await asyncio.gather(*(_one(jobs, model, at, steps=2) for at, model in enumerate(wanted)))
        else:
            for at, model in enumerate(wanted):
                await _one(jobs, model, at, steps=2)
        seconds = time.perf_counter() - began
    return Order(name, len(wanted), seconds, sum(engine.loads for engine in engines.values()) - before)


@asynccontextmanager
async def _jobs(engines: dict[str, Any], budget: int | None = None) -> AsyncIterator[Jobs]:
    models = Models({}, budget=budget, painters=engines)
    with TemporaryDirectory() as place:
        async with connect(Path(place) / "jobs.db") as database:
            store, blobs = DatabaseJobs(database), DiskBlobs(Path(place) / "blobs")
            jobs = Jobs(models, store, blobs, lambda caller, name: models.card(name), most=1000)
            jobs.start()
            try:
                yield jobs
            finally:
                await jobs.close()
                await models.close()


async def _one(jobs: Jobs, model: str, seed: int, steps: int = STEPS, side: int = SIDE) -> float:
    """Seconds of a picture; each model has a caller of its own."""
    request = ImageRequest(model, "a boat", width=side, height=side, steps=steps, seed=seed)
    began = time.perf_counter()
    async with aclosing(jobs.make(Caller(key=model), request)) as seen:
        last = [each async for each in seen][-1]
    await jobs.read(last.job.results[0])
    return time.perf_counter() - began


def _engine(name: str, directory: Path) -> ImageEngine:
    return open_pipeline(name, directory, created=0, setup=Setup(wanted=Wanted(dtype="float32")))


class _Counted:
    """An engine whose starts are counted."""

    def __init__(self, engine: ImageEngine) -> None:
        self._engine = engine
        self.loads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def start(self) -> None:
        self.loads += 1
        await self._engine.start()


class _Bare:
    """The same pipeline by diffusers alone."""

    def __init__(self, directory: Path, side: int) -> None:
        import torch
        from diffusers import DiffusionPipeline

        self._torch, self._side = torch, side
        self._pipeline: Any = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            directory, dtype=torch.float32
        )
        self._pipeline.set_progress_bar_config(disable=True)

    def __call__(self, seed: int) -> None:
        noise = self._torch.Generator().manual_seed(seed)
        told = {"width": self._side, "height": self._side, "num_inference_steps": STEPS, "generator": noise}
        self._pipeline("a boat", **told).images[0].save(BytesIO(), "PNG", compress_level=4)


def _timed(bare: _Bare, seed: int) -> float:
    began = time.perf_counter()
    bare(seed)
    return time.perf_counter() - began
