"""`infotext`: a request's fields from what made another picture.

Rule: what the request says itself goes before it; what cannot be read is left out.
"""

from collections.abc import Mapping
from typing import Any

FIELDS: Mapping[str, str] = {
    "Prompt": "prompt",
    "Negative prompt": "negative_prompt",
    "Steps": "steps",
    "Sampler": "sampler_name",
    "Schedule type": "scheduler",
    "CFG scale": "cfg_scale",
    "Seed": "seed",
    "Size-1": "width",
    "Size-2": "height",
    "Denoising strength": "denoising_strength",
    "Clip skip": "clip_skip",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Model": "sd_model_checkpoint",
}


def with_parameters(asked: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """`asked` with what it leaves open from the parameters, by infotext's names."""
    found = {field: parameters[name] for name, field in FIELDS.items() if parameters.get(name)}
    return {**found, **{name: value for name, value in asked.items() if value is not None}}
