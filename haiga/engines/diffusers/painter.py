"""One loaded pipeline: a request in, pictures out, told of at each step.

Rule: everything that makes a picture is in its parameters, and nothing of one request is left for the next. Steps are
counted, shown and stopped where every pipeline passes: at its scheduler's `step`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, DiffusionPipeline
from PIL import Image, ImageFilter, ImageOps

from haiga.core.errors import Invalid
from haiga.core.images import ImageRequest, Painted, Progress
from haiga.core.pictures import Picture
from haiga.engines.diffusers import samplers
from haiga.engines.diffusers.conditioning import Conditioner
from haiga.engines.diffusers.steering import Steering
from haiga.text.image_prompts import Prompt, networks, parse

STEPS = 20
MULTIPLE = 8  # pixels; what sides are a multiple of, unless the pipeline wants more
MOST_PIXELS = 2048 * 2048


class Stopped(Exception):
    """The request was cancelled between two steps."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request with nothing left open."""

    request: ImageRequest
    prompt: Prompt
    negative: Prompt
    width: int
    height: int
    steps: int
    seed: int
    sampler: str | None
    schedule: str


class Painter:
    """A pipeline and what it can be asked. `tell` hears of each step; `stopped` says whether to go on."""

    def __init__(self, pipeline: Any, name: str) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline
        self._name = name
        self._scheduler = pipeline.scheduler
        self._conditioner = Conditioner.of(pipeline)

    @classmethod
    def load(cls, directory: Path, name: str) -> "Painter":
        """From a directory in diffusers' layout, safetensors alone."""
        pipeline = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            directory, use_safetensors=True, local_files_only=True
        )
        return cls(pipeline, name)

    @property
    def flow(self) -> bool:
        """Whether the model was trained by flow matching."""
        return type(self._scheduler).__name__.startswith("FlowMatch")

    def paint(
        self,
        request: ImageRequest,
        seed: int,
        tell: Callable[[Progress], None] = lambda progress: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Painted]:
        """The pictures, one after another. Raises Invalid for what this model cannot do, and Stopped."""
        call = self._call(request, seed)
        pipeline = self._for(request)
        counter = _Counter(call.steps, request.count, tell, stopped)
        with self._sampling(pipeline, call), counter.watching(pipeline.scheduler):
            for number in range(request.count):
                each = replace(call, seed=call.seed + number)
                image = self._one(pipeline, each, counter)
                yield Painted(_picture(image), each.seed, self._parameters(each, pipeline))

    # --- what is asked ---

    def _call(self, request: ImageRequest, seed: int) -> Call:
        width, height = self._size(request)
        steps = request.steps or STEPS
        text, wanted = networks(request.prompt)
        if wanted:
            raise Invalid(f"there is no network {wanted[0].name!r} for this model", field="prompt")
        sampler, schedule = None, "Automatic"
        if request.sampler or request.schedule:
            sampler, schedule = samplers.named(request.sampler or "Euler", request.schedule)
        prompt, negative = parse(text, steps), parse(request.negative, steps)
        return Call(request, prompt, negative, width, height, steps, seed, sampler, schedule)

    def _size(self, request: ImageRequest) -> tuple[int, int]:
        if request.source is not None and request.width is None and request.height is None:
            return request.source.width // MULTIPLE * MULTIPLE, request.source.height // MULTIPLE * MULTIPLE
        width, height = request.width or self._side, request.height or self._side
        for side, name in ((width, "width"), (height, "height")):
            if side % MULTIPLE or side < MULTIPLE:
                raise Invalid(f"{name} must be a multiple of {MULTIPLE}, not {side}", field=name)
        if width * height > MOST_PIXELS:
            raise Invalid(f"{width}x{height} is more than {MOST_PIXELS} pixels", field="width")
        return width, height

    @property
    def _side(self) -> int:
        """Pixels of a side of the pictures that the model was trained on."""
        pipeline = self._pipeline
        scale = getattr(pipeline, "vae_scale_factor", MULTIPLE)
        size = getattr(pipeline, "default_sample_size", None)
        return int(size * scale) if size else 512

    def _for(self, request: ImageRequest) -> Any:
        """The pipeline of the request's task, over the same weights."""
        if request.inpaint is not None:
            if request.source is None:
                raise Invalid("a mask needs a picture that it is for", field="mask")
            return self._task(AutoPipelineForInpainting, "inpaint")
        if request.source is not None:
            return self._task(AutoPipelineForImage2Image, "begin from a picture")
        return self._pipeline

    def _task(self, auto: Any, what: str) -> Any:
        try:
            pipeline = auto.from_pipe(self._pipeline)
        except ValueError:
            raise Invalid(f"the model {self._name} cannot {what}", field="image") from None
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    # --- one picture ---

    def _one(self, pipeline: Any, call: Call, counter: "_Counter") -> Image.Image:
        options = self._options(pipeline, call)
        steering = Steering.of(pipeline, self._conditioner, call.prompt, call.negative, call.request.clip_skip)
        counter.begin()
        with steering.steering(pipeline, lambda: counter.step):
            image = self._run(pipeline, {**options, **steering.options(_names(pipeline))}, counter)
        return _outside_as_it_was(image, call) if call.request.inpaint else image

    def _run(self, pipeline: Any, options: Mapping[str, Any], counter: "_Counter") -> Image.Image:
        try:
            image: Image.Image = pipeline(**options).images[0]
        except (ValueError, TypeError, AssertionError) as problem:
            if counter.begun:
                raise
            # a pipeline looks at what it is asked before its first step, and says in its own words what it cannot do
            raise Invalid(f"the model {self._name} cannot be asked this: {problem}") from None
        counter.end()
        return image

    def _options(self, pipeline: Any, call: Call) -> dict[str, Any]:
        request = call.request
        options: dict[str, Any] = {
            "num_inference_steps": call.steps,
            "generator": torch.Generator("cpu").manual_seed(call.seed),
            "width": call.width,
            "height": call.height,
        }
        if request.guidance is not None:
            options["guidance_scale"] = request.guidance
        if request.source is not None:
            options |= {"image": _image(request.source, call), "strength": request.strength}
        if request.inpaint is not None:
            options["mask_image"] = _mask(call)
        known = _names(pipeline)
        return {name: value for name, value in options.items() if name in known}

    @contextmanager
    def _sampling(self, pipeline: Any, call: Call) -> Iterator[None]:
        """With a scheduler of its own, so that nothing of one request is left in it."""
        own = pipeline.scheduler
        pipeline.scheduler = self._scheduler_for(call)
        try:
            yield
        finally:
            pipeline.scheduler = own

    def _scheduler_for(self, call: Call) -> Any:
        name, changes = type(self._scheduler).__name__, dict[str, Any]()
        if call.sampler is not None:
            name, changes = samplers.configured(call.sampler, call.schedule, flow=self.flow)
        return getattr(diffusers, name).from_config(self._scheduler.config, **changes)

    def _parameters(self, call: Call, pipeline: Any) -> Mapping[str, str]:
        request = call.request
        told = {
            "Prompt": request.prompt,
            "Negative prompt": request.negative,
            "Steps": str(call.steps),
            "Sampler": call.sampler or type(pipeline.scheduler).__name__,
            "Schedule type": call.schedule,
            "CFG scale": "" if request.guidance is None else f"{request.guidance:g}",
            "Seed": str(call.seed),
            "Size": f"{call.width}x{call.height}",
            "Model": self._name,
            "Clip skip": str(request.clip_skip + 1) if request.clip_skip else "",
            "Denoising strength": f"{request.strength:g}" if request.source else "",
            "Mask blur": str(request.inpaint.blur) if request.inpaint else "",
            "Pipeline": type(pipeline).__name__,
        }
        return {name: value for name, value in told.items() if value}


class _Counter:
    """Counts the steps of all pictures of a request at its scheduler, and stops there. A sampler of the second order
    passes twice in each."""

    def __init__(self, steps: int, count: int, tell: Callable[[Progress], None], stopped: Callable[[], bool]) -> None:
        self._steps = steps
        self._count = count
        self._tell = tell
        self._stopped = stopped
        self._pictures = 0
        self._passes = 0
        self._all = steps

    @property
    def step(self) -> int:
        """The step under way of the picture under way, from 1."""
        return min(self._steps, self._passes * self._steps // self._all + 1)

    @property
    def begun(self) -> bool:
        """Whether the picture under way has had a step."""
        return self._passes > 0

    def begin(self) -> None:
        """Another picture."""
        self._passes = 0

    def end(self) -> None:
        """The picture is there, with fewer steps if it began from another."""
        self._pictures += 1
        self._tell(Progress(self._pictures * self._steps, self._steps * self._count))

    @contextmanager
    def watching(self, scheduler: Any) -> Iterator[None]:
        step = scheduler.step

        def counted(*args: Any, **options: Any) -> Any:
            if self._stopped():
                raise Stopped
            result = step(*args, **options)
            self._passes += 1
            self._all = max(len(scheduler.timesteps), self._passes)
            done = self._pictures * self._steps + self._passes * self._steps // self._all
            self._tell(Progress(done, self._steps * self._count))
            return result

        scheduler.step = counted
        try:
            yield
        finally:
            del scheduler.step


def _names(pipeline: Any) -> frozenset[str]:
    return frozenset(inspect.signature(type(pipeline).__call__).parameters)


# --- pictures ---


def _picture(image: Image.Image) -> Picture:
    rgb = image.convert("RGB")
    return Picture.of(rgb.tobytes(), rgb.width, rgb.height)


def _image(picture: Picture, call: Call) -> Image.Image:
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    size = (call.width, call.height)
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def _mask(call: Call) -> Image.Image:
    assert call.request.inpaint is not None
    inpaint = call.request.inpaint
    mask = _image(inpaint.mask, call).convert("L")
    return ImageOps.invert(mask) if inpaint.inverted else mask


def _outside_as_it_was(image: Image.Image, call: Call) -> Image.Image:
    """The new picture where the mask is, the old one elsewhere, with a soft edge."""
    assert call.request.inpaint is not None and call.request.source is not None
    mask = _mask(call).filter(ImageFilter.GaussianBlur(call.request.inpaint.blur))
    return Image.composite(image, _image(call.request.source, call), mask)
