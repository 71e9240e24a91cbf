"""A pipeline from its directory, put where it was decided that it fits.

Rule: what was decided is what is done: a choice that cannot be had is an error or a warning, never silence.
"""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline

from haiga.core.errors import Invalid, Unsupported
from haiga.engines.diffusers.devices import DENOISERS, gguf_file, torch_device
from haiga.engines.diffusers.fitting import Decision

STORED = torch.float8_e4m3fn  # what weights are kept in by layerwise casting


def loaded(directory: Path, decision: Decision) -> Any:
    """From a directory in diffusers' layout, safetensors alone."""
    pipeline = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
        directory,
        use_safetensors=True,
        local_files_only=True,
        dtype=getattr(torch, decision.dtype),
        quantization_config=_quantised(directory, decision),
        **_from_gguf(directory, decision),
    )
    _shape(pipeline, decision)
    _place(pipeline, decision)
    return pipeline


def denoiser(pipeline: Any) -> Any:
    """The part that is run at each step."""
    return next(part for name in DENOISERS if (part := getattr(pipeline, name, None)) is not None)


def _quantised(directory: Path, decision: Decision) -> Any:
    kinds: Any = diffusers
    part = next((name for name in DENOISERS if (directory / name).is_dir()), "")
    if decision.quantised == "int8":
        from torchao.quantization import Int8WeightOnlyConfig

        config = kinds.TorchAoConfig(Int8WeightOnlyConfig())
    elif decision.quantised == "nf4":
        numbers = getattr(torch, decision.dtype)
        config = kinds.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=numbers)
    else:
        return None
    return kinds.PipelineQuantizationConfig(quant_mapping={part: config})


def _from_gguf(directory: Path, decision: Decision) -> dict[str, Any]:
    """The denoiser out of a GGUF file, where it is one: its weights stay as they are there, and are made wider as they
    are used. Raises Invalid for one that does not fit."""
    file = gguf_file(directory)
    if file is None:
        return {}
    name, numbers = file.parent.name, getattr(torch, decision.dtype)
    kinds: Any = diffusers
    kind = getattr(kinds, json.loads((file.parent / "config.json").read_text())["_class_name"])
    if not hasattr(kind, "from_single_file"):
        raise Unsupported(f"{kind.__name__} is not read from GGUF", field="model")
    try:
        part = kind.from_single_file(
            str(file),
            config=str(directory),
            subfolder=name,
            quantization_config=kinds.GGUFQuantizationConfig(compute_dtype=numbers),
            dtype=numbers,
            local_files_only=True,
        )
    except (ValueError, KeyError, IndexError, RuntimeError) as problem:
        raise Invalid(f"{file.name} does not fit this model: {problem}", field="model") from None
    return {name: part}


def _shape(pipeline: Any, decision: Decision) -> None:
    if decision.quantised == "layerwise":
        denoiser(pipeline).enable_layerwise_casting(storage_dtype=STORED, compute_dtype=getattr(torch, decision.dtype))
    if decision.attention != "native":
        denoiser(pipeline).set_attention_backend(decision.attention)
    vae = getattr(pipeline, "vae", None)
    if vae is not None and decision.tiling and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()
    if vae is not None and decision.slicing and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()


def _place(pipeline: Any, decision: Decision) -> None:
    device = torch_device(decision.device)
    match decision.offload:
        case "none":
            pipeline.to(device)
        case "model":
            pipeline.enable_model_cpu_offload(device=device)
        case "group":
            pipeline.enable_group_offload(
                onload_device=device, offload_type="leaf_level", use_stream=device.type == "cuda"
            )
        case "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
