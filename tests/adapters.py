"""Random LoRA adapters as PEFT saves them, and the base with one merged into it: the exact reference."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from tests.checkpoints import load_reference

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


def make_adapter(
    directory: Path,
    base: Path,
    targets: Sequence[str] = ALL,
    rank: int = 4,
    alpha: float = 8.0,
    seed: int = 0,
    spread: float = 0.2,
    **config: Any,
) -> Path:
    """Write an adapter with both factors random for every layer of `base` that ends in one of `targets`."""
    directory.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    ranks, tensors = config.get("rank_pattern", {}), {}
    for name, layer in linears(load_reference(base), targets).items():
        own = next((each for ends, each in ranks.items() if name.endswith(ends)), rank)
        stem = f"base_model.model.{name}"
        shapes = {"lora_A": (own, layer.in_features), "lora_B": (layer.out_features, own)}
        tensors |= {f"{stem}.{part}.weight": normal(random, shape, spread) for part, shape in shapes.items()}
    save_file(tensors, directory / "adapter_model.safetensors")
    fields = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": list(targets), "bias": "none"}
    fields |= {"base_model_name_or_path": str(base), "task_type": "CAUSAL_LM"}
    (directory / "adapter_config.json").write_text(json.dumps({**fields, **config}))
    return directory


def normal(random: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray[Any, Any]:
    return (random.standard_normal(shape) * spread).astype(np.float32)


def linears(model: Any, targets: Sequence[str]) -> dict[str, torch.nn.Linear]:
    """The layers that PEFT would adapt, by name."""
    named = {name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    return {name: layer for name, layer in named.items() if name.endswith(tuple(targets))}


def merged(base: Path, adapter: Path, scale: float | None = None) -> Any:
    """transformers with the adapter's product in its weights. scale: where it is not alpha / r."""
    from safetensors.numpy import load_file

    model, tensors = load_reference(base), load_file(adapter / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text())
    with torch.no_grad():
        for name, layer in linears(model, config["target_modules"]).items():
            down, up = (tensors[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
            own = config["lora_alpha"] / len(down) if scale is None else scale
            layer.weight += own * torch.from_numpy(up @ down)
    return model
