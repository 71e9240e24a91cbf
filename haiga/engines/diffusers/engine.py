"""A model that makes pictures, in a process of its own.

Rule: closing a job's generator stops it at the engine's next step; a process that dies ends its jobs with Dead.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from haiga.core.errors import Dead, HaigaError
from haiga.core.images import ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.ports import ModelCard
from haiga.engines.diffusers import protocol
from haiga.engines.diffusers.setup import Setup
from haiga.engines.standing import Standing
from haiga.engines.supervised import Supervised, child_command

log = logging.getLogger(__name__)

NO_SETUP = Setup()
WEIGHTS = ("*.safetensors", "*.gguf")
OVERHEAD = 600 << 20  # bytes that torch and diffusers take beside the weights


class DiffusersEngine(Standing):
    """The pipeline in a `directory` of diffusers' layout, run as `setup` says."""

    def __init__(self, card: ModelCard, directory: Path, setup: Setup = NO_SETUP) -> None:
        weights = sum(file.stat().st_size for kind in WEIGHTS for file in directory.rglob(kind))
        super().__init__(card, weights + OVERHEAD)
        plant = orjson.dumps({"directory": str(directory), "name": card.name, "setup": setup.told()}).decode()
        command = child_command("haiga.engines.diffusers.child", plant)
        self._child = Supervised(card.name, command, self._hear, self._lose)
        self._fitted: tuple[str, tuple[str, ...]] = "", ()
        self._ids = count(1)
        self._jobs: dict[int, asyncio.Queue[Progress | Painted | HaigaError | None]] = {}

    @property
    def fitted(self) -> tuple[str, tuple[str, ...]]:
        """How the model is run, in one line, and why, once it has started."""
        return self._fitted

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._child.pid

    async def start(self) -> None:
        ready = await self._child.start()
        self._memory = max(self._memory, ready["memory"])
        self._fitted = ready["fitted"], tuple(ready["reasons"])
        log.info("%s runs on %s: %s", self._card.name, ready["fitted"], "; ".join(ready["reasons"]))

    async def close(self) -> None:
        await self._child.close()

    def paint(self, request: ImageRequest, seed: int) -> AsyncGenerator[Progress | Painted, None]:
        """The job's steps and pictures, the first with the seed, each further one with the next. Raises core errors
        only."""
        return self._job(lambda id: protocol.paint(id, request, seed))

    def upscale(self, request: UpscaleRequest) -> AsyncGenerator[Progress | Painted, None]:
        """The picture, larger. Raises core errors only."""
        return self._job(lambda id: protocol.upscale(id, request))

    def skip(self) -> None:
        """See ImageEngine."""
        if self._jobs:
            self._child.send(protocol.skip())

    async def _job(self, asked: Callable[[int], bytes]) -> AsyncGenerator[Progress | Painted, None]:
        with self._place():
            await self._child.up()
            id = next(self._ids)
            said = self._jobs[id] = asyncio.Queue()
            self._child.send(asked(id))
            over = False
            try:
                while True:
                    heard = await said.get()
                    over = heard is None or isinstance(heard, HaigaError)
                    if heard is None:
                        return
                    if isinstance(heard, HaigaError):
                        raise heard
                    yield replace(heard, reason="; ".join(self._fitted[1])) if isinstance(heard, Painted) else heard
            finally:
                if not over:
                    self._child.send(protocol.stop(id))
                del self._jobs[id]

    def _hear(self, report: Mapping[str, Any], data: bytes) -> None:
        if "id" in report and (job := self._jobs.get(report["id"])):
            job.put_nowait(protocol.read_report(report, data))

    def _lose(self, why: Dead) -> None:
        for job in self._jobs.values():
            job.put_nowait(why)
