"""A checkpoint's tower, compiled.

Rule: a tower is computed in f32 where the decoder is, else in bf16 where the processor can: 8 bits would save little
of what a model takes, and pictures cost once.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov

from haiga.core.errors import Failed, Invalid
from haiga.core.pictures import Picture
from haiga.models.parts import SIGHT, sight_bytes
from haiga.models.plugin import compile_tower, explain
from haiga.models.vision.registry import read_sight
from haiga.models.vision.sight import Features, Sight, View
from haiga.models.weights import Checkpoint, Heap, Packing, Weights

_SIDE = 56  # pixels of the picture that a tower is tried on


@dataclass(frozen=True, slots=True)
class Tower:
    """Pictures to features. One at a time: not for several threads."""

    sight: Sight
    weights: Weights
    request: ov.InferRequest

    @classmethod
    def load(cls, directory: Path, packing: Packing, threads: int) -> "Tower | None":
        """The tower of the checkpoint in `directory`, None where it has none; it has run once, so that the first
        picture meets no preparation. packing: the decoder's; threads: 0 for every core. Raises Invalid naming the file,
        field or tensor."""
        sight = read_sight(directory)
        if sight is None:
            return None
        weights = Weights(Checkpoint(directory), "f32" if packing == "f32" else "bf16", Heap())
        compiled = compile_tower(sight.tower(weights), weights, threads)
        tower = cls(sight, weights, compiled.create_infer_request())
        tower._see(next(sight.views(Picture.of(bytes(3 * _SIDE**2), _SIDE, _SIDE))))
        weights.release()
        return tower

    def features(self, picture: Picture) -> Features:
        """The picture's features [places, width], in the order of its fillers. Raises Failed when the plugin refuses
        it."""
        seen = [self._see(view) for view in self.sight.views(picture)]
        return self.sight.collect(seen, picture.width, picture.height, self.weights.checkpoint)

    def _see(self, view: View) -> Features:
        for name, values in view.items():
            self.request.set_tensor(name, ov.Tensor(np.ascontiguousarray(values)))
        try:
            self.request.infer()
        except RuntimeError as problem:
            raise Failed(f"a picture could not be read: {explain(problem)}") from problem
        features: Features = self.request.get_output_tensor(0).data.copy()
        return features.reshape(-1, features.shape[-1])


def tower_bytes(directory: Path, packing: Packing) -> int:
    """What the tower's weights take in memory."""
    tensors = Checkpoint(directory)
    return sum(sight_bytes(tensors.entry(name).shape, packing) for name in tensors if SIGHT.search(name))


def check_tower(directory: Path, vocabulary: int, filler: int | None) -> None:
    """Raise Invalid where the tokenizer has no token (`filler`) for a picture's features to stand in."""
    if filler is None or filler >= vocabulary:
        raise Invalid(f"{directory}: the tokenizer has no token that stands for a picture")
