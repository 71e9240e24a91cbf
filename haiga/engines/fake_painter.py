"""An engine with no model that makes pictures: each of one colour, which its prompt and seed decide, or, where one is
enlarged, its first pixel.

Rule: deterministic, and true to the ImageEngine seam in all else: steps, previews, stops. It serves the tests of
everything above the seam.
"""

import asyncio
from collections.abc import AsyncGenerator
from hashlib import sha256

from haiga.core.errors import Dead, HaigaError
from haiga.core.images import ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.pictures import Picture
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.standing import Standing

SIDE, STEPS = 16, 4
CARD = ModelCard("brush", "Brush", 0, 0, 0, Capabilities(prefill=False, text=False, painting=True))


class FakePainter(Standing):
    """`pace`: seconds of each step. `fails`: what a prompt comes to after its first step. While `gate` is not set no
    step ends. `log` tells of starts, closes and jobs, `asked` is what was to be painted."""

    def __init__(
        self,
        card: ModelCard = CARD,
        *,
        pace: float = 0.0,
        memory: int = 0,
        fails: dict[str, HaigaError] | None = None,
        log: list[str] | None = None,
    ) -> None:
        super().__init__(card, memory)
        self._pace = pace
        self._fails = fails or {}
        self.log = log if log is not None else []
        self.asked: list[ImageRequest] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._up = self._skipped = False

    async def start(self) -> None:
        self._up = True
        self.log.append(f"start {self._card.name}")

    async def close(self) -> None:
        self._up = False
        self.log.append(f"close {self._card.name}")

    async def paint(self, request: ImageRequest, seed: int) -> AsyncGenerator[Progress | Painted, None]:
        """See ImageEngine."""
        self.log.append(f"paint {request.prompt}")
        self.asked.append(request)
        with self._place():
            for number in range(request.count):
                picture, self._skipped = _picture(request, seed + number), False
                for step in range(request.steps or STEPS):
                    await self._step(request.prompt)
                    if self._skipped:
                        break
                    done = number * (request.steps or STEPS) + step + 1
                    shown = picture if request.previews else None
                    yield Progress(done, (request.steps or STEPS) * request.count, shown)
                if self._skipped:
                    continue
                told = {"Prompt": request.prompt, "Steps": str(request.steps or STEPS), "Seed": str(seed + number)}
                yield Painted(picture, seed + number, told | {"Model": self._card.name})

    async def upscale(self, request: UpscaleRequest) -> AsyncGenerator[Progress | Painted, None]:
        """See ImageEngine. One step; width and height, where they are given, are taken as they are."""
        self.log.append(f"upscale {request.upscaler}")
        with self._place():
            await self._step()
            yield Progress(1, 1)
            yield Painted(_enlarged(request), 0, {"Postprocess upscaler": request.upscaler})

    def skip(self) -> None:
        """See ImageEngine."""
        self._skipped = True
        self.log.append("skip")

    async def _step(self, prompt: str = "") -> None:
        await asyncio.sleep(self._pace)
        await self.gate.wait()
        if not self._up:
            raise Dead("the engine was closed")
        if (error := self._fails.get(prompt)) is not None:
            raise error


def _picture(request: ImageRequest, seed: int) -> Picture:
    width, height = request.width or SIDE, request.height or SIDE
    return _plain(sha256(f"{request.prompt}/{seed}".encode()).digest()[:3], width, height)


def _enlarged(request: UpscaleRequest) -> Picture:
    width, height = (round(side * request.scale) for side in (request.picture.width, request.picture.height))
    return _plain(request.picture.rgb[:3], request.width or width, request.height or height)


def _plain(colour: bytes, width: int, height: int) -> Picture:
    return Picture.of(colour * (width * height), width, height)
