"""What the tower learns before it is put in front of the text model: what is in each slot of a picture, and what each
patch shows.

Rule: the answer to slot n is read from the picture's token n, so that the text model knows where to look; it is told
apart by directions that begin as the text model's own embeddings of the answers, so that it need only say what it
sees. The heads are left behind: no part of them is in the checkpoint.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.starter_vision.material import ALPHABET, Material
from trainers.starter_vision.painting import COLOURS, SHAPES
from trainers.starter_vision.scenes import NUMBERS, Scene
from trainers.starter_vision.tower import Eyes

UNKNOWN = -100  # the label of a slot of which a picture says nothing
COLOUR = 1  # the place of the colour among the slots
MOST = 6  # parts of one picture
Slots = dict[str, tuple[str, ...]]


def slots_of(material: Material) -> Slots:
    """What can be in each slot."""
    letters = {f"letter {at}": tuple(ALPHABET.lower()) for at in range(4)}
    first = {"kind": ("shape", "word", "emoji"), "colour": tuple(COLOURS), "shape": SHAPES, "count": NUMBERS}
    return {**first, **letters, "emoji": tuple(sorted(material.emoji))}


def things_of(material: Material) -> tuple[str, ...]:
    """What a patch can show, beside nothing, which is 0: letters, shapes, emoji, each numbered from 1 on."""
    return (*ALPHABET.lower(), *SHAPES, *(f"emoji {name}" for name in sorted(material.emoji)))


def labels_of(scenes: Sequence[Scene], slots: Slots) -> NDArray[np.int16]:
    """[scenes, slots]: the place of what is there among what can be."""
    rows = [
        [values.index(scene.seen[slot]) if slot in scene.seen else UNKNOWN for slot, values in slots.items()]
        for scene in scenes
    ]
    return np.asarray(rows, np.int16)


def parts_of(scenes: Sequence[Scene], things: Sequence[str]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Numbers of the things that are in the scenes [scenes, MOST], 0 for none, and their boxes [scenes, MOST, 4]."""
    number = {thing: at + 1 for at, thing in enumerate(things)}
    kinds = np.zeros((len(scenes), MOST), np.int16)
    boxes = np.zeros((len(scenes), MOST, 4), np.float32)
    for row, scene in enumerate(scenes):
        for at, part in enumerate(scene.parts):
            kinds[row, at] = number[f"emoji {part.name}" if scene.task == "emoji" else part.name]
            boxes[row, at] = part.box
    return kinds, boxes


def shown_by(kinds: Tensor, boxes: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """What each patch shows, and the how manieth from the left that is (0: nothing), both [batch, side * side]: that
    part in whose box its middle is; a box is a patch large at least."""
    middle = (torch.arange(side) + 0.5) / side
    x, y = middle.repeat(side), middle.repeat_interleave(side)
    grow = ((1 / side - (boxes[..., 2:] - boxes[..., :2])) / 2).clamp(min=0)
    low, high = boxes[..., :2] - grow, boxes[..., 2:] + grow
    inside = (x >= low[..., :1]) & (x < high[..., :1]) & (y >= low[..., 1:]) & (y < high[..., 1:])
    inside &= (kinds > 0)[..., None]  # [batch, MOST, patches]
    order = inside.float().argmax(1)
    found = inside.any(1)
    return kinds.gather(1, order) * found, (order + 1) * found


class Heads(nn.Module):
    """What the lessons are told by. `directions`: of each slot's answers [answers, width], in the text model."""

    def __init__(self, eyes: Eyes, directions: Sequence[Tensor], things: int) -> None:
        super().__init__()
        self.directions = nn.ParameterList(F.normalize(each - each.mean(0), dim=-1) for each in directions)
        self.norm = nn.LayerNorm(eyes.width)
        self.things = nn.Linear(eyes.width, things + 1)
        self.order = nn.Linear(eyes.width, MOST + 1)

    def slots(self, tokens: Tensor) -> list[Tensor]:
        """Logits of each slot; tokens [batch, tokens, width]."""
        tokens = F.rms_norm(tokens.float(), tokens.shape[-1:])
        return [tokens[:, at] @ each.T for at, each in enumerate(self.directions)]

    def loss(self, middle: Tensor, tokens: Tensor, labels: Tensor, shown: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Mean cross entropies in nats: of each picture's known slots, of what patches show, of their order."""
        each = [
            F.cross_entropy(logits, labels[:, at], ignore_index=UNKNOWN, reduction="sum")
            for at, logits in enumerate(self.slots(tokens))
        ]
        middle = self.norm(middle)
        weight = 0.15 + 0.85 * (shown[0] > 0).flatten().float()  # most patches show nothing
        dense = [
            (F.cross_entropy(head(middle).flatten(0, 1).float(), told.flatten(), reduction="none") * weight).sum()
            / weight.sum()
            for head, told in zip((self.things, self.order), shown, strict=True)
        ]
        return torch.stack(each).sum() / len(labels), *dense
