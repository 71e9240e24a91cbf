"""Bodies of /sdapi/v1 to core values.

Rule: what is asked is done or refused by its name. Pictures stay as they were sent, with their places: whoever takes
them in puts them where `Asked` says.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from haiga.core.errors import NotFound, Unsupported
from haiga.core.images import Fill, Hires, ImageRequest, Variation
from haiga.wire.body import read_shape
from haiga.wire.sdapi.control import Unit, read_units
from haiga.wire.sdapi.options import AUTOMATIC, Options, plain, with_options
from haiga.wire.sdapi.shapes import GenerationBody, ImageToImageBody, TextToImageBody

FILLS: tuple[Fill, ...] = ("fill", "original", "noise", "nothing")
SAME = ("", "Use same sampler", "Use same scheduler", "Same as primary", *AUTOMATIC)
WITH_ETA = ("ddim", "tcd")  # other samplers leave it alone, as A1111's clients, which always send it, expect
_ID = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Masked:
    """How a mask is meant; its picture comes later."""

    picture: str
    blur: int
    inverted: bool
    padding: int | None
    fill: Fill


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for pictures, as far as it could be read without them. `source`: what to begin from. `resize`: A1111's
    way to fit it to another shape. `options`: what holds for this request. `echo`: what the answer repeats."""

    request: ImageRequest
    options: Options
    styles: tuple[str, ...] = ()
    id: str | None = None
    send_images: bool = True
    source: str | None = None
    masked: Masked | None = None
    units: tuple[Unit, ...] = ()
    resize: int = 0
    echo: Mapping[str, Any] | None = None


Draw = Callable[[], int]


def read_txt2img(asked: dict[str, Any], options: Options, draw: Draw) -> Asked:
    """The body of POST /sdapi/v1/txt2img. `draw` gives a seed where none is said. Raises core errors."""
    shape = read_shape(TextToImageBody, asked)
    _refuse(shape)
    found = _asked(shape, options, draw)
    return replace(found, request=replace(found.request, hires=_hires(shape)), echo=asked)


def read_img2img(asked: dict[str, Any], options: Options, draw: Draw) -> Asked:
    """The body of POST /sdapi/v1/img2img. Raises core errors."""
    shape = read_shape(ImageToImageBody, asked)
    _refuse(shape)
    if shape.latent_mask:
        raise _not_done("latent_mask")
    if shape.initial_noise_multiplier != 1:
        raise _not_done("initial_noise_multiplier")
    if shape.resize_mode == 3:
        raise Unsupported("the source is not enlarged as latents here: 0, 1 and 2 are done", field="resize_mode")
    found = _asked(shape, options, draw)
    bare = asked if shape.include_init_images else {**asked, "init_images": None, "mask": None}
    return replace(
        found,
        request=replace(found.request, strength=shape.denoising_strength),
        source=shape.init_images[0],
        masked=_masked(shape),
        resize=shape.resize_mode,
        echo=bare,
    )


def _asked(shape: GenerationBody, options: Options, draw: Draw) -> Asked:
    options = with_options(options, shape.override_settings, "override_settings.")
    if named := shape.sd_model_checkpoint or shape.sd_model:
        options = replace(options, model=plain(named))
    if options.model is None:
        raise NotFound("there is no model that makes pictures", field="sd_model_checkpoint")
    seed = draw() if shape.seed < 0 else shape.seed
    request = ImageRequest(
        model=options.model,
        prompt=shape.prompt,
        negative=shape.negative_prompt,
        width=shape.width or None,
        height=shape.height or None,
        steps=shape.steps,
        guidance=shape.cfg_scale,
        seed=seed,
        count=shape.batch_size * shape.n_iter,
        together=shape.batch_size,
        sampler=_sampler(shape),
        schedule=None if shape.scheduler in AUTOMATIC else shape.scheduler.replace("_", " "),
        clip_skip=max(0, int(shape.clip_skip) - 1) or options.clip_skip,
        tiling=shape.tiling,
        variation=_variation(shape, draw),
        eta=shape.eta if (_sampler(shape) or "").lower().startswith(WITH_ETA) else None,
        vae=options.vae,
        previews=options.previews,
    )
    styles = tuple(name for name in shape.styles if name not in AUTOMATIC)
    return Asked(
        request,
        options,
        styles,
        job_id(shape.force_task_id),
        shape.send_images,
        units=read_units(shape.alwayson_scripts),
    )


def _sampler(shape: GenerationBody) -> str | None:
    name = shape.sampler_name or shape.sampler_index
    return None if name in (*AUTOMATIC, "Default") else name


def _variation(shape: GenerationBody, draw: Draw) -> Variation | None:
    if not shape.subseed_strength:
        return None
    return Variation(draw() if shape.subseed < 0 else shape.subseed, shape.subseed_strength)


def job_id(task: str) -> str | None:
    """The job's id for a client's own, of which A1111's are `task(…)`; None where it has none."""
    return _ID.sub("-", task)[:64] or None


def _hires(shape: TextToImageBody) -> Hires | None:
    if not shape.enable_hr:
        return None
    if shape.hr_checkpoint_name not in ("", "Use same checkpoint"):
        raise _not_done("hr_checkpoint_name")
    return Hires(
        scale=shape.hr_scale,
        strength=shape.denoising_strength,
        steps=shape.hr_second_pass_steps or None,
        upscaler=upscaler(shape.hr_upscaler or "Latent"),
        width=shape.hr_resize_x or None,
        height=shape.hr_resize_y or None,
        sampler=None if shape.hr_sampler_name in SAME else shape.hr_sampler_name,
        schedule=None if shape.hr_scheduler in SAME else shape.hr_scheduler.replace("_", " "),
        prompt=shape.hr_prompt or None,
        negative=shape.hr_negative_prompt or None,
    )


def _masked(shape: ImageToImageBody) -> Masked | None:
    if not shape.mask:
        return None
    return Masked(
        shape.mask,
        blur=shape.mask_blur if shape.mask_blur_x is None else shape.mask_blur_x,
        inverted=bool(shape.inpainting_mask_invert),
        padding=shape.inpaint_full_res_padding if shape.inpaint_full_res else None,
        fill=FILLS[shape.inpainting_fill],
    )


def upscaler(name: str) -> str:
    """The way to enlarge that is meant; A1111's "None" enlarges without a model."""
    return "Lanczos" if name in AUTOMATIC else name


# --- what is not done ---


def _refuse(shape: GenerationBody) -> None:
    if shape.script_name not in AUTOMATIC:
        raise Unsupported(f"Script {shape.script_name!r} not found: there are no scripts here", field="script_name")
    for field, wanted in (
        ("restore_faces", shape.restore_faces),
        ("refiner_checkpoint", shape.refiner_checkpoint not in AUTOMATIC),
        ("seed_resize_from_w", shape.seed_resize_from_w > 0),
        ("seed_resize_from_h", shape.seed_resize_from_h > 0),
        ("s_churn", shape.s_churn != 0),
        ("s_noise", shape.s_noise != 1),
    ):
        if wanted:
            raise _not_done(field)


def _not_done(field: str) -> Unsupported:
    return Unsupported("this is not done here", field=field)
