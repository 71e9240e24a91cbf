"""The trained network as files: config.json and model.safetensors.

Rule: matrices in 16 bits, all else in 32; the names are the network's own.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from haiga.core.moderation import CATEGORIES
from trainers.moderation.network import Network


def write(network: Network, folder: Path, slopes: list[float], offsets: list[float], thresholds: list[float]) -> None:
    """Write both files; floats to four places."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.dim() > 1:
            tensors[name] = tensor.to(torch.float16)
    save_file(tensors, folder / "model.safetensors")
    said = {
        **asdict(network.shape),
        "categories": list(CATEGORIES),
        "slopes": [round(value, 4) for value in slopes],
        "offsets": [round(value, 4) for value in offsets],
        "thresholds": [round(value, 4) for value in thresholds],
    }
    (folder / "config.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
