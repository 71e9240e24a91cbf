"""What there is to run a model on, and how much of it is free.

Rule: measured when a model is loaded; the decision itself is `fitting`'s.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import psutil
import torch

from haiga.engines.diffusers.fitting import PACKAGES, Device, Facts

CGROUP = Path("/sys/fs/cgroup")
DENOISERS = ("transformer", "unet", "prior")


def measured(directory: Path) -> Facts:
    """For the model in a directory of diffusers' layout."""
    parts = parameters(directory)
    file = gguf_file(directory)
    denoiser = file.parent.name if file else next((name for name in DENOISERS if name in parts), "")
    packages = {name for name in (*PACKAGES.values(), "gguf") if find_spec(name)}
    wide = {device for device in accelerators() if device in ("rocm", "xpu") or _has_bfloat16(device)}
    size = file.stat().st_size if file else 0
    return Facts(accelerators(), free_ram(), parts, denoiser, frozenset(wide), frozenset(packages), gguf=size)


def gguf_file(directory: Path) -> Path | None:
    """The denoiser of a model where it is a GGUF file in the place of safetensors."""
    folders = [directory / name for name in DENOISERS if not any((directory / name).glob("*.safetensors"))]
    return next((file for folder in folders for file in sorted(folder.glob("*.gguf"))), None)


def accelerators() -> Mapping[Device, int]:
    """Free bytes of each."""
    found: dict[Device, int] = {}
    if torch.cuda.is_available():
        found["rocm" if torch.version.hip else "cuda"] = torch.cuda.mem_get_info()[0]
    if torch.xpu.is_available():
        found["xpu"] = torch.xpu.mem_get_info()[0]
    if torch.backends.mps.is_available():
        found["mps"] = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return found


def free_ram() -> int:
    """Bytes that may be taken, of the machine's or of the container's."""
    free = int(psutil.virtual_memory().available)
    try:
        most, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if most == "max" else min(free, int(most) - int(used))


def torch_device(device: Device) -> torch.device:
    """ROCm calls itself CUDA."""
    return torch.device("cuda" if device == "rocm" else device)


def parameters(directory: Path) -> dict[str, int]:
    """Numbers in each part of a model, from its files' headers."""
    counted: dict[str, int] = {}
    for file in sorted(directory.glob("*/*.safetensors")):
        if not _is_variant(file):
            counted[file.parent.name] = counted.get(file.parent.name, 0) + _numbers(file)
    return counted


def _is_variant(file: Path) -> bool:
    """Whether it holds in other numbers what another file there holds."""
    return ".fp16." in file.name and any(".fp16." not in each.name for each in file.parent.glob("*.safetensors"))


def _numbers(file: Path) -> int:
    with file.open("rb") as opened:
        header: Mapping[str, Any] = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(prod(told["shape"]) for name, told in header.items() if name != "__metadata__")


def _has_bfloat16(device: Device) -> bool:
    return device == "mps" or (device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False))
