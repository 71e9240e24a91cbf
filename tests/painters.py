"""Who makes pictures in tests: the very painter of a painting process over a tiny pipeline, in a thread of this one."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import Any

from haiga.core.errors import Cancelled, Failed, HaigaError
from haiga.core.images import ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.diffusers.counting import Stopped
from haiga.engines.diffusers.painter import NO_SHELF, Painter
from haiga.engines.diffusers.shelf import Shelf
from tests.pipelines import made


class ThreadPainter:
    """A model of its family's name. `gate`: while it is shut, jobs stand still after each step."""

    def __init__(self, family: str, shelf: Shelf = NO_SHELF) -> None:
        self._painter = Painter(made(family), family, shelf)
        self._family = family
        self.gate = threading.Event()
        self.gate.set()
        self.busy = 0
        self.memory = 1 << 20
        self._skip = threading.Event()

    @property
    def card(self) -> ModelCard:
        return ModelCard(self._family, self._family, 0, 0, 0, Capabilities(text=False, painting=True))

    async def start(self) -> None:
        """There is nothing to start."""

    async def close(self) -> None:
        self.gate.set()

    def paint(self, request: ImageRequest, seed: int) -> AsyncGenerator[Progress | Painted, None]:
        self._skip.clear()
        return self._job(partial(self._painter.paint, request, seed, skipped=self._skipped))

    def skip(self) -> None:
        self._skip.set()

    def _skipped(self) -> bool:
        said = self._skip.is_set()
        self._skip.clear()
        return said

    def upscale(self, request: UpscaleRequest) -> AsyncGenerator[Progress | Painted, None]:
        return self._job(partial(self._painter.upscale, request))

    async def _job(self, job: Callable[..., Iterator[Painted]]) -> AsyncGenerator[Progress | Painted, None]:
        stopped, loop = threading.Event(), asyncio.get_running_loop()
        said: asyncio.Queue[Any] = asyncio.Queue()

        def tell(each: Any) -> None:
            loop.call_soon_threadsafe(said.put_nowait, each)
            while not self.gate.wait(0.005) and not stopped.is_set():
                pass

        def work() -> None:
            try:
                for picture in job(tell, stopped.is_set):
                    tell(picture)
                last: HaigaError | None = None
            except Stopped:
                last = Cancelled("the job was cancelled")
            except HaigaError as error:
                last = error
            except Exception as error:
                last = Failed(f"the picture could not be made: {error}")
            loop.call_soon_threadsafe(said.put_nowait, last)

        thread = threading.Thread(target=work)
        thread.start()
        self.busy += 1
        try:
            while (heard := await said.get()) is not None:
                if isinstance(heard, HaigaError):
                    raise heard
                yield heard
        finally:
            stopped.set()
            self.busy -= 1
            await asyncio.to_thread(thread.join)
