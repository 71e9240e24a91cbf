"""One loaded pipeline: a request in, pictures out, told of at each step.

Rule: everything that makes a picture is in its parameters, and nothing of one request is left for the next.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
)
from PIL import Image

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.palette import Sampling
from haiga.engines.diffusers import noise, samplers
from haiga.engines.diffusers.asked import LATENT_MODES, MULTIPLE, Call
from haiga.engines.diffusers.compiled import Swapped
from haiga.engines.diffusers.conditioning import Conditioner
from haiga.engines.diffusers.controls import Controls, Lead
from haiga.engines.diffusers.counting import Counter, Skipped
from haiga.engines.diffusers.devices import measured, torch_device
from haiga.engines.diffusers.embeddings import Embeddings
from haiga.engines.diffusers.fitting import Decision, decide
from haiga.engines.diffusers.loading import denoiser, loaded
from haiga.engines.diffusers.loras import Loras
from haiga.engines.diffusers.opening import combines
from haiga.engines.diffusers.parameters import enlarging, parameters
from haiga.engines.diffusers.passes import Beside, Pass
from haiga.engines.diffusers.pixels import Work, fitted, image_of, picture_of, resized
from haiga.engines.diffusers.previews import Previews, tiny_decoder
from haiga.engines.diffusers.references import References
from haiga.engines.diffusers.seamless import seamless
from haiga.engines.diffusers.setup import Setup
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.steering import Steering
from haiga.engines.diffusers.upscaling.upscalers import Upscalers
from haiga.engines.diffusers.vaes import Vaes

NO_SHELF = Shelf()
NO_SETUP = Setup()
EDITS = ("QwenImageEdit",)  # how the names of pipelines begin that cannot do without a picture
AS_IT_IS = Decision("cpu", "float32", "none", False, "native", "none")


class Painter:
    """A pipeline and what it can be asked."""

    def __init__(
        self,
        pipeline: Any,
        name: str,
        shelf: Shelf = NO_SHELF,
        tiny: Any = None,
        decision: Decision = AS_IT_IS,
        setup: Setup = NO_SETUP,
    ) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline
        self._name = name
        self._scheduler = pipeline.scheduler
        self._conditioner = Conditioner.of(pipeline)
        self._embeddings = Embeddings(self._conditioner.models if self._conditioner else [], shelf)
        self._loras = Loras(pipeline, shelf)
        self._vaes = Vaes(pipeline, shelf)
        self._controls = Controls(pipeline, shelf)
        self._references = References(pipeline, shelf)
        self._previews = Previews(pipeline, tiny)
        self._upscalers = Upscalers(shelf, torch_device(decision.device))
        self._decision = decision
        self._own_size = setup.own_size
        self._bare = True
        self._swapped = self._swap(setup)

    @classmethod
    def load(cls, directory: Path, name: str, setup: Setup) -> "Painter":
        """From a directory in diffusers' layout, safetensors alone."""
        decision = decide(measured(directory), setup.wanted)
        pipeline = loaded(directory, decision)
        return cls(pipeline, name, Shelf(setup.shelf, setup.pickles), tiny_decoder(directory), decision, setup)

    @property
    def decision(self) -> Decision:
        """How it is run, and why."""
        return self._decision

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
        skipped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Painted]:
        """The pictures, one after another. `tell` hears of each step; `stopped` says whether to end before the next,
        `skipped` whether to leave those that are being made and go on with the next ones. Raises Invalid and
        Unsupported for what this model cannot do, and Stopped."""
        call = Call.of(request, seed, self._side, self._own_size)
        counter = Counter(call.total, tell, stopped, skipped)
        words, told = self._embeddings.read(*request.prompts.values())
        lead = self._controls.lead(request)
        if request.hires and request.hires.upscaler not in LATENT_MODES:
            self._upscalers.check(request.hires.upscaler)
        with self._dressed(call, lead) as (worn, shown):
            beside = Beside(words, lead, shown)
            for places in call.batches:
                for place, image, pipeline in self._batch(call, places, beside, counter):
                    made = parameters(call, self._name, pipeline, place, {**worn, **told, **self._run_by})
                    yield Painted(picture_of(image), call.seeds([place])[0], made)

    def upscale(
        self,
        request: UpscaleRequest,
        tell: Callable[[Progress], None] = lambda progress: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Painted]:
        """The picture, larger. Raises Invalid and Unsupported for upscalers and sizes that cannot be, and Stopped."""
        counter = Counter(1, tell, stopped)
        image = self._upscalers.enlarged(request, counter.pause)
        counter.end()
        yield Painted(picture_of(image), 0, enlarging(request, image.width))

    @contextmanager
    def _dressed(self, call: Call, lead: Lead) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """The pipeline with all that the request asks for beside it; what infotexts say of that, and what the pipeline
        is called with."""
        with (
            self._loras.worn(call.networks) as told,
            self._vaes.worn(call.request.vae),
            self._references.worn(call.request.references) as shown,
            seamless(self._pipeline, call.request.tiling, lead.nets),
        ):
            self._bare = not (call.networks or call.request.references or call.request.tiling)
            yield told, shown

    # --- what runs it ---

    def _swap(self, setup: Setup) -> dict[str, Swapped]:
        """The parts that are run by something else than torch, while no request changes them."""
        parts = {"denoiser": (denoiser(self._pipeline), setup.denoiser)}
        if setup.decoder != "torch":
            parts["decoder"] = self._pipeline.vae.decoder, setup.decoder
        return {
            name: Swapped(part, backend, lambda: self._bare)
            for name, (part, backend) in parts.items()
            if backend != "torch"
        }

    @property
    def _run_by(self) -> dict[str, str]:
        told = {"Memory": self._decision.told}
        backends = ", ".join(f"{name} {part.told}" for name, part in self._swapped.items())
        return told | ({"Backend": backends} if backends else {})

    # --- passes ---

    def _batch(
        self, call: Call, places: list[int], beside: Beside, counter: Counter
    ) -> Iterator[tuple[int, Image.Image, Any]]:
        """The pictures at those places with the pipeline that made them last, but for those that are skipped."""
        work = self._work(call)
        small = call.request.hires is not None and call.request.hires.upscaler in LATENT_MODES
        begun = work.image if work else self._begun(call)
        first = Pass(
            places,
            *call.canvas,
            call.steps,
            call.sampling,
            call.prompt,
            call.negative,
            begun,
            work.mask if work else None,
            call.request.strength,
            small,
        )
        pipeline = self._for(first, beside.lead)
        try:
            images = self._run(pipeline, call, first, beside, counter)
        except Skipped:
            counter.skip(call.steps_to(places[-1]))
            return
        for place, image in zip(places, images, strict=True):
            if call.second is None:
                yield place, self._finished(call, work, image), pipeline
                continue
            try:
                again = self._again(call, place, image, beside, counter)
            except Skipped:
                counter.skip(call.steps_to(place))
            else:
                yield place, *again

    def _finished(self, call: Call, work: Work | None, image: Image.Image) -> Image.Image:
        """As it was asked for."""
        if work is not None:
            return work.put_back(image)
        size = call.width, call.height
        if call.canvas == size:
            return image
        return resized(image, size) if call.request.source else fitted(image, size)

    def _work(self, call: Call) -> Work | None:
        source, inpaint = call.request.source, call.request.inpaint
        return Work.of(source, inpaint, (call.width, call.height), call.canvas) if source and inpaint else None

    def _begun(self, call: Call) -> "Image.Image | Sequence[Image.Image] | None":
        source, beside = call.request.source, call.request.beside
        if source is None:
            return None
        first = resized(fitted(image_of(source), (call.width, call.height)), call.canvas)
        if not beside:
            return first
        if not combines(type(self._pipeline).__name__):
            raise Unsupported(f"the model {self._name} works on one picture", field="beside")
        return [first, *map(image_of, beside)]

    def _again(self, call: Call, place: int, image: Any, beside: Beside, counter: Counter) -> tuple[Image.Image, Any]:
        """The second pass over a picture, or over the latents of one."""
        second = call.second
        assert second is not None and call.request.hires is not None
        size = second.width, second.height
        if isinstance(image, torch.Tensor):
            begun: Any = self._enlarged(image, call, size)
        else:
            begun = self._upscalers.to(image, size, call.request.hires.upscaler, counter.pause)
        said = second.prompt, second.negative
        again = Pass([place], *size, second.steps, second.sampling, *said, begun, strength=second.strength)
        pipeline = self._for(again, beside.lead)
        return next(iter(self._run(pipeline, call, again, beside, counter))), pipeline

    def _enlarged(self, latents: torch.Tensor, call: Call, size: tuple[int, int]) -> torch.Tensor:
        """latents: of one picture, as the pipeline ends with them."""
        assert call.request.hires is not None
        if latents.ndim == 2:  # packed, as Flux has them
            pipeline = self._pipeline
            width, height = call.canvas
            latents = pipeline._unpack_latents(latents[None], height, width, pipeline.vae_scale_factor)[0]
        mode, smooth = LATENT_MODES[call.request.hires.upscaler]
        scale = self._pipeline.vae_scale_factor
        to = size[1] // scale, size[0] // scale
        return torch.nn.functional.interpolate(latents[None], to, mode=mode, antialias=smooth)

    def _for(self, one: Pass, lead: Lead) -> Any:
        """The pipeline of the pass's task, over the same weights."""
        if one.begun is None and type(self._pipeline).__name__.startswith(EDITS):
            raise Invalid(f"the model {self._name} makes pictures from others alone: send one", field="image")
        if one.mask is not None:
            return self._task(AutoPipelineForInpainting, "inpaint", lead)
        if one.begun is not None:
            return self._task(AutoPipelineForImage2Image, "begin from a picture", lead)
        return self._task(AutoPipelineForText2Image, "be led by ControlNets", lead) if lead.units else self._pipeline

    def _task(self, auto: Any, what: str, lead: Lead) -> Any:
        try:
            pipeline = auto.from_pipe(self._pipeline, **({"controlnet": lead.net} if lead.units else {}))
        except (ValueError, TypeError):
            raise Unsupported(f"the model {self._name} cannot {what}", field="image") from None
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _run(self, pipeline: Any, call: Call, one: Pass, beside: Beside, counter: Counter) -> Sequence[Any]:
        request = call.request
        seeds = call.seeds(one.places)
        steering = Steering.of(pipeline, self._conditioner, one.prompt, one.negative, request.clip_skip, beside.words)
        known = names(pipeline)
        options = {**self._options(pipeline, call, one), **steering.options(known), **beside.shown}
        options |= beside.lead.options(known, (one.width, one.height))
        counter.begin(one.steps, one.run)
        with ExitStack() as stack:
            scheduler = stack.enter_context(self._sampling(pipeline, one.sampling, request.eta))
            stack.enter_context(noise.filled(scheduler, _fill(request), one.mask, seeds))
            stack.enter_context(noise.varied(pipeline, request.variation, call.subseeds(one.places)))
            look = self._previews.look(one.width, one.height) if request.previews else None
            stack.enter_context(counter.watching(scheduler, look))
            stack.enter_context(beside.lead.leading())
            stack.enter_context(steering.steering(pipeline, lambda: _of(counter.step, one, call), len(seeds)))
            images = self._called(pipeline, options, counter)
        counter.end()
        return images

    def _called(self, pipeline: Any, options: Mapping[str, Any], counter: Counter) -> Sequence[Any]:
        try:
            images: Sequence[Any] = pipeline(**options).images
        except (ValueError, TypeError, AssertionError) as problem:
            if counter.begun:
                raise
            # a pipeline looks at what it is asked before its first step, and says in its own words what it cannot do
            raise Invalid(f"the model {self._name} cannot be asked this: {problem}") from None
        return images

    def _options(self, pipeline: Any, call: Call, one: Pass) -> dict[str, Any]:
        request, known = call.request, names(pipeline)
        options: dict[str, Any] = {
            "num_inference_steps": one.steps,
            "generator": noise.generators(call.seeds(one.places)),
            "width": one.width,
            "height": one.height,
            "num_images_per_prompt": len(one.places),
            "output_type": "latent" if one.latents else "pil",
        }
        if request.guidance is not None:
            options |= _guided(pipeline, request.guidance)
        if request.eta is not None:
            options["eta"] = request.eta
        if one.begun is not None:
            options |= {"image": one.begun, "strength": one.strength}
        if one.mask is not None:
            options["mask_image"] = one.mask
        return {name: value for name, value in options.items() if name in known}

    @contextmanager
    def _sampling(self, pipeline: Any, sampling: Sampling, eta: float | None) -> Iterator[Any]:
        """With a scheduler of its own, so that nothing of one request is left in it."""
        own = pipeline.scheduler
        scheduler = self._scheduler_for(sampling)
        if eta is not None and "eta" not in inspect.signature(scheduler.step).parameters:
            raise Invalid(f"the sampler {sampling.sampler or type(scheduler).__name__} has no eta", field="eta")
        pipeline.scheduler = scheduler
        try:
            yield scheduler
        finally:
            pipeline.scheduler = own

    def _scheduler_for(self, sampling: Sampling) -> Any:
        if sampling.sampler is None:
            return copy.deepcopy(self._scheduler)
        name, changes = samplers.configured(sampling.sampler, sampling.schedule, flow=self.flow)
        return getattr(diffusers, name).from_config(self._scheduler.config, **changes)

    @property
    def _side(self) -> int:
        """Pixels of a side of the pictures that the model was trained on."""
        pipeline = self._pipeline
        scale = getattr(pipeline, "vae_scale_factor", MULTIPLE)
        unet = getattr(pipeline, "unet", None)
        size = getattr(pipeline, "default_sample_size", None) or (unet and unet.config.sample_size)
        return size * scale if isinstance(size, int) else 512


def names(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """What the pipeline can be called with."""
    return inspect.signature(type(pipeline).__call__).parameters


def _guided(pipeline: Any, scale: float) -> dict[str, Any]:
    """How a pipeline takes the scale of classifier-free guidance: some have one for distilled models beside it, and
    guide by a negative prompt alone."""
    true = names(pipeline).get("true_cfg_scale")
    if true is None or true.default <= 1:
        return {"guidance_scale": scale}
    return {"true_cfg_scale": scale, "negative_prompt": " "}


def _of(step: int, one: Pass, call: Call) -> int:
    """The step of the call's, which its prompts are timed by, that one of a pass stands for."""
    return -(-step * call.steps // one.steps)


def _fill(request: ImageRequest) -> Any:
    return request.inpaint.fill if request.inpaint else "original"
