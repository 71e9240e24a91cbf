"""What the tower learns before it is put in front of the text model: to tell what is in each slot of a picture.

Rule: the text model is five times the work of the tower, and learns little of a tower that sees nothing yet. The slots
are left behind: no part of them is in the checkpoint.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.starter_vision.material import ALPHABET, Material
from trainers.starter_vision.painting import COLOURS, SHAPES
from trainers.starter_vision.scenes import NUMBERS, Scene

UNKNOWN = -100  # the label of a slot of which a picture says nothing


def slots_of(material: Material) -> dict[str, tuple[str, ...]]:
    """What can be in each slot."""
    letters = {f"letter {at}": tuple(ALPHABET) for at in range(4)}
    return {
        "colour": tuple(COLOURS),
        "shape": SHAPES,
        "count": NUMBERS,
        **letters,
        "emoji": tuple(sorted(material.emoji)),
    }


def labels_of(scenes: Sequence[Scene], slots: dict[str, tuple[str, ...]]) -> NDArray[np.int64]:
    """[scenes, slots]: the place of what is there among what can be."""
    rows = [
        [values.index(scene.seen[slot]) if slot in scene.seen else UNKNOWN for slot, values in slots.items()]
        for scene in scenes
    ]
    return np.asarray(rows, np.int64)


class Slots(nn.Module):
    """A look of its own over the patches for each slot, and what is seen there."""

    def __init__(self, width: int, slots: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.looks = nn.Parameter(torch.randn(len(slots), width) * 0.02)
        self.keys = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.tell = nn.ModuleList(nn.Linear(width, len(values)) for values in slots.values())

    def loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the known slots, in nats; states [batch, patches, width], labels [batch, slots]."""
        states = self.norm(states)
        weights = torch.softmax(self.looks @ self.keys(states).transpose(1, 2) * states.shape[-1] ** -0.5, dim=-1)
        found = weights @ states
        each = [
            nn.functional.cross_entropy(
                tell(found[:, at]).float(), labels[:, at], ignore_index=UNKNOWN, reduction="sum"
            )
            for at, tell in enumerate(self.tell)
        ]
        return torch.stack(each).sum() / (labels != UNKNOWN).sum()
