"""What made a picture, by the names that infotexts have for it.

Rule: what could change a picture is named; what was left as it is by default is not.
"""

from collections.abc import Mapping
from typing import Any

from haiga.core.images import ImageRequest, UpscaleRequest
from haiga.engines.diffusers.asked import Call
from haiga.engines.diffusers.samplers import name_of

FILLS = {"fill": "fill", "original": "original", "noise": "latent noise", "nothing": "latent nothing"}
MODES = {
    "balanced": "Balanced",
    "prompt": "My prompt is more important",
    "control": "ControlNet is more important",
}


def parameters(call: Call, model: str, pipeline: Any, place: int, extra: Mapping[str, str]) -> dict[str, str]:
    """Of the picture at `place` among the request's."""
    request = call.request
    together = len(next(batch for batch in call.batches if place in batch))
    told = {
        "Prompt": request.prompt,
        "Negative prompt": request.negative,
        "Steps": str(call.steps),
        "Sampler": call.sampling.sampler or name_of(type(pipeline.scheduler).__name__, pipeline.scheduler.config),
        "Schedule type": call.sampling.schedule,
        "CFG scale": "" if request.guidance is None else f"{request.guidance:g}",
        "Seed": str(call.seeds([place])[0]),
        "Size": f"{call.width}x{call.height}",
        "Painted in": "" if call.canvas == (call.width, call.height) else "{}x{}".format(*call.canvas),
        "Model": model,
        "Clip skip": str(request.clip_skip + 1) if request.clip_skip else "",
        "Eta": "" if request.eta is None else f"{request.eta:g}",
        "Tiling": "True" if request.tiling else "",
        "VAE": request.vae or "",
        "Batch size": str(together) if together > 1 else "",
        "Batch pos": str(place % request.together) if together > 1 else "",
        **_varied(call, place),
        **_begun(request),
        **_second(call),
        **_guided(request),
        **extra,
        "Pipeline": type(pipeline).__name__,
    }
    return {name: value for name, value in told.items() if value}


def enlarging(request: UpscaleRequest, width: int) -> dict[str, str]:
    """Of a picture that was enlarged to `width` pixels."""
    told = {
        "Postprocess upscale by": f"{width / request.picture.width:g}",
        "Postprocess upscaler": request.upscaler,
    }
    if request.second and request.visibility:
        told |= {
            "Postprocess upscaler 2": request.second,
            "Postprocess upscaler 2 visibility": f"{request.visibility:g}",
        }
    return told


def _varied(call: Call, place: int) -> dict[str, str]:
    variation = call.request.variation
    if variation is None or not variation.strength:
        return {}
    return {
        "Variation seed": str(call.subseeds([place])[0]),
        "Variation seed strength": f"{variation.strength:g}",
    }


def _begun(request: ImageRequest) -> dict[str, str]:
    told = {"Denoising strength": f"{request.strength:g}"} if request.source else {}
    if inpaint := request.inpaint:
        told |= {
            "Mask blur": str(inpaint.blur),
            "Mask mode": "Inpaint not masked" if inpaint.inverted else "",
            "Masked content": FILLS[inpaint.fill],
            "Inpaint area": "" if inpaint.padding is None else "Only masked",
            "Masked area padding": "" if inpaint.padding is None else str(inpaint.padding),
        }
    return told


def _second(call: Call) -> dict[str, str]:
    hires = call.request.hires
    if hires is None or call.second is None:
        return {}
    sized = hires.width is not None or hires.height is not None
    strength = {} if call.request.source else {"Denoising strength": f"{hires.strength:g}"}
    return {
        **strength,
        "Hires upscale": "" if sized else f"{hires.scale:g}",
        "Hires resize": f"{call.second.width}x{call.second.height}" if sized else "",
        "Hires strength": f"{hires.strength:g}" if call.request.source else "",
        "Hires steps": str(call.second.steps),
        "Hires upscaler": hires.upscaler,
        "Hires sampler": call.second.sampling.sampler or "" if hires.sampler else "",
        "Hires prompt": hires.prompt or "",
        "Hires negative prompt": hires.negative or "",
        "Hires schedule type": call.second.sampling.schedule if call.second.sampling != call.sampling else "",
    }


def _guided(request: ImageRequest) -> dict[str, str]:
    """ControlNet's units and IP-Adapters, as the extension of A1111 writes the first."""
    units = {
        f"ControlNet {number}": f"Module: {unit.preprocessor}, Model: {unit.model}, Weight: {unit.weight:g}, "
        f"Guidance Start: {unit.begin:g}, Guidance End: {unit.end:g}, Control Mode: {MODES[unit.mode]}"
        for number, unit in enumerate(request.controls)
    }
    shown = {f"IP Adapter {number}": f"{each.model}:{each.weight:g}" for number, each in enumerate(request.references)}
    return units | shown
