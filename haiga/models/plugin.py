"""What is asked of OpenVINO's CPU plugin, and what it says when it refuses.

Rule: every property that is set is set here, with its reason.
"""

from typing import Literal

import openvino as ov

from haiga.core.errors import Invalid
from haiga.models.weights import Weights

CacheType = Literal["f32", "bf16", "u8", "u4"]
BLOCK = 32  # tokens per KV block, the plugin's own


def compile_model(model: ov.Model, weights: Weights | None, cache: CacheType, threads: int) -> ov.CompiledModel:
    """Compile a paged model. weights: what its matrices lie in, None for an IR; threads: 0 for every core.

    Raises Invalid when the cache does not go with the arithmetic or the plugin refuses the model.
    """
    core = ov.Core()
    precision = _precision(core, weights)
    if cache not in (precision, "u8", "u4"):
        raise Invalid(f"cache: {cache!r} does not go with {precision} arithmetic; use {precision}, u8 or u4")
    properties = {"PERFORMANCE_HINT": "LATENCY", "KV_CACHE_PRECISION": cache, "INFERENCE_PRECISION_HINT": precision}
    if weights is not None:
        # in products with integer weights activations are rounded to int8, with float weights never
        group = weights.activation_group if weights.packing in ("int8", "int4", "kept") else 0
        properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(group)
    if threads:
        properties["INFERENCE_NUM_THREADS"] = str(threads)
        properties["ENABLE_CPU_PINNING"] = "NO"  # else every engine of few threads takes the same first cores
    try:
        return core.compile_model(model, "CPU", properties)
    except RuntimeError as problem:
        raise Invalid(f"the model cannot be compiled ({explain(problem)})") from problem


def compile_tower(model: ov.Model, weights: Weights, threads: int) -> ov.CompiledModel:
    """Compile a tower; the rest as `compile_model`. Raises Invalid when the plugin refuses it."""
    core = ov.Core()
    precision = _precision(core, weights)
    properties = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads:
        properties |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
    try:
        return core.compile_model(model, "CPU", properties)
    except RuntimeError as problem:
        raise Invalid(f"the vision tower cannot be compiled ({explain(problem)})") from problem


def explain(problem: RuntimeError) -> str:
    """The line that says what is wrong: the last that is not empty."""
    return next((line.strip() for line in reversed(str(problem).splitlines()) if line.strip()), "no reason given")


def _precision(core: ov.Core, weights: Weights | None) -> Literal["bf16", "f32"]:
    """bf16 weights are computed with in bf16 where the processor can; elsewhere, and all others, in f32."""
    asked = weights is not None and weights.packing == "bf16"
    return "bf16" if asked and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
