"""Steps, counted where every pipeline passes: at its scheduler's `step`.

Rule: between two steps a job can be stopped, whatever its pipeline knows of stopping.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from haiga.core.images import Progress
from haiga.core.pictures import Picture

Look = Callable[[torch.Tensor], Picture | None]


class Stopped(Exception):
    """The request was cancelled between two steps."""


class Skipped(Exception):
    """The pictures under way are not to be made."""


class Counter:
    """Counts the steps of all passes of a request, `steps` in all. A sampler of the second order passes twice in
    each."""

    def __init__(
        self,
        steps: int,
        tell: Callable[[Progress], None],
        stopped: Callable[[], bool],
        skipped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._total = steps
        self._tell = tell
        self._stopped = stopped
        self._skipped = skipped
        self._before = 0
        self._steps = self._run = 1
        self._passes = 0
        self._all = 1

    @property
    def step(self) -> int:
        """The step under way of the pass under way, from 1."""
        return min(self._steps, self._passes * self._steps // self._all + 1)

    @property
    def begun(self) -> bool:
        """Whether the pass under way has had a step."""
        return self._passes > 0

    def begin(self, steps: int, run: int) -> None:
        """Another pass, of which `run` of its steps are made: fewer where it begins from a picture."""
        self._steps, self._run = steps, run
        self._passes, self._all = 0, steps

    def end(self) -> None:
        """The pass is over."""
        self._before += self._run
        self._tell(Progress(self._before, self._total))

    def skip(self, to: int) -> None:
        """The steps up to that one are not made."""
        self._before = to
        self._tell(Progress(self._before, self._total))

    def pause(self) -> None:
        """Between two pieces of work. Raises Stopped and Skipped."""
        if self._stopped():
            raise Stopped
        if self._skipped():
            raise Skipped

    @contextmanager
    def watching(self, scheduler: Any, look: Look | None = None) -> Iterator[None]:
        step = scheduler.step

        @wraps(step)  # pipelines look at its parameters to see what it takes
        def counted(*args: Any, **options: Any) -> Any:
            self.pause()
            at = self._passes
            result = step(*args, **options)
            self._passes += 1
            self._all = max(len(scheduler.timesteps), self._passes)
            done = self._before + min(self._run, self._passes * self._steps // self._all)
            self._tell(Progress(done, self._total, look(_guess(scheduler, at, args, result)) if look else None))
            return result

        scheduler.step = counted
        try:
            yield
        finally:
            del scheduler.step


def _guess(scheduler: Any, at: int, args: Any, result: Any) -> torch.Tensor:
    """The latents as they would be at the end: the scheduler's own guess where it makes one; for a straight flow what
    its velocity leads to; else what there is."""
    made = result if isinstance(result, tuple) else (result.prev_sample, getattr(result, "pred_original_sample", None))
    if len(made) > 1 and isinstance(made[1], torch.Tensor):
        return made[1]
    if type(scheduler).__name__ == "FlowMatchEulerDiscreteScheduler" and len(args) > 2:
        sigma = scheduler.sigmas[(scheduler.step_index or 1) - 1]
        return torch.sub(args[2], args[0], alpha=float(sigma))
    latents: torch.Tensor = made[0]
    return latents
