"""LLaVA 1.5 and LLaVA-NeXT (1.6): a CLIP or SigLIP tower, two products behind it.

Rule: LLaVA shows a picture as one square; LLaVA-NeXT shows that, and then the squares of the best of several sizes, row
by row without what was padded, each row ended by a learned vector. Papers: arXiv 2310.03744; the blog post of 1.6.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import openvino as ov
import openvino.opset15 as op

from haiga.core.pictures import Grid, Picture
from haiga.models.fields import Fields
from haiga.models.graph import Node, constant
from haiga.models.vision.frame import CLIP_DEVIATION, CLIP_MEAN, Frame, read_frame
from haiga.models.vision.pixels import Pixels, pixels_of, resize
from haiga.models.vision.sight import Features, View
from haiga.models.vision.tower import (
    CLIP,
    SIGLIP,
    Encoder,
    Kind,
    TowerGraph,
    activate,
    embed,
    encode,
    find_prefix,
    read_encoder,
)
from haiga.models.weights import Tensors, Weights

_IMAGE = "<image>"
_CLIP: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_SIGLIP: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
}


@dataclass(frozen=True, slots=True)
class Llava:
    """layers: behind which layers states are taken, side by side; drops: whether the class's are left out; width: of a
    feature; activation, bias: of the products. grids: sizes (height, width) that a picture may be cut in, none for
    LLaVA 1.5."""

    encoder: Encoder
    kind: Kind
    frame: Frame
    layers: tuple[int, ...]
    drops: bool
    width: int
    activation: str
    bias: bool
    grids: tuple[tuple[int, int], ...] = ()

    token: ClassVar[str] = _IMAGE
    written: ClassVar[str] = _IMAGE
    filler: ClassVar[str] = _IMAGE
    mutual: ClassVar[bool] = False

    def spelling(self, width: int, height: int) -> str:
        count = self.encoder.side**2 + (self.kind.classed and not self.drops)
        if self.grids:
            top, bottom, left, right = self._shown(width, height)
            count += (bottom - top) * (right - left + 1)
        return _IMAGE * count

    def grid(self, width: int, height: int) -> Grid | None:
        return None

    def views(self, picture: Picture) -> Iterator[View]:
        pixels = pixels_of(picture)
        squares = self._squares(pixels) if self.grids else iter([pixels])
        for square in squares:
            yield {"patches": self.frame.patches(square, self.encoder.patch)}

    def tower(self, weights: Weights) -> ov.Model:
        part, graph = self.encoder, TowerGraph(weights)
        at = find_prefix(weights.checkpoint, "embeddings.patch_embedding.weight")
        x, taken, done = embed(graph, part, self.kind, at), {}, 0
        for until in sorted(set(self.layers)):
            x = encode(graph, part, at + "encoder.", x, done, until)
            taken[until], done = x, until
        x = op.concat([taken[until] for until in self.layers], -1) if len(self.layers) > 1 else x
        if self.drops:
            x = op.gather(x, constant(np.arange(1, part.side**2 + 1), np.int64), constant(0, np.int64))
        return graph.model(self._projected(graph, x), "features", "tower")

    def collect(self, seen: Sequence[Features], width: int, height: int, tensors: Tensors) -> Features:
        if not self.grids:
            return seen[0]
        side, (rows, columns) = self.encoder.side, self._cut(width, height)
        cut = np.stack(seen[1:]).reshape(rows, columns, side, side, self.width)
        whole = cut.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, self.width)
        top, bottom, left, right = self._shown(width, height)
        shown = whole[top:bottom, left:right]
        name = find_prefix(tensors, "image_newline") + "image_newline"
        ends = np.broadcast_to(tensors.read(name, (self.width,)), (len(shown), 1, self.width))
        lines = np.concatenate([shown, ends], axis=1).reshape(-1, self.width)
        return np.concatenate([seen[0], lines])

    def _projected(self, graph: TowerGraph, x: Node) -> Node:
        at = find_prefix(graph.weights.checkpoint, "multi_modal_projector.linear_1.weight") + "multi_modal_projector."
        inner = self.encoder.hidden * len(self.layers)
        x = activate(graph.linear(x, at + "linear_1", inner, self.width, self.bias), self.activation)
        return graph.linear(x, at + "linear_2", self.width, self.width, self.bias)

    def _best(self, width: int, height: int) -> tuple[int, int]:
        """The size (height, width), of those it may be cut in, in which most of the picture's pixels are left; of
        equals the smallest."""

        def merit(size: tuple[int, int]) -> tuple[int, int]:
            scale = min(size[1] / width, size[0] / height)
            left = min(int(width * scale) * int(height * scale), width * height)
            return left, left - size[0] * size[1]

        return max(self.grids, key=merit)

    def _cut(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of squares."""
        high, wide = self._best(width, height)
        return high // self.encoder.image, wide // self.encoder.image

    def _shown(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The patches of all squares that show the picture, not padding: top, bottom, left, right."""
        rows, columns = (count * self.encoder.side for count in self._cut(width, height))
        if width / height > columns / rows:
            padding = (rows - int(round(height * (columns / width), 7))) // 2
            return padding, rows - padding, 0, columns
        padding = (columns - int(round(width * (rows / height), 7))) // 2
        return 0, rows, padding, columns - padding

    def _squares(self, pixels: Pixels) -> Iterator[Pixels]:
        """The whole in one square, then the squares of the best size."""
        (height, width, _), side = pixels.shape, self.encoder.image
        first = self.frame.size or (self.frame.shortest or side,) * 2
        yield resize(pixels, *first, self.frame.resampling)
        high, wide = self._best(width, height)
        if wide / width < high / height:
            size = wide, min(math.ceil(height * (wide / width)), high)
        else:
            size = min(math.ceil(width * (high / height)), wide), high
        canvas = np.zeros((high, wide, 3), np.uint8)
        left, top = (wide - size[0]) // 2, (high - size[1]) // 2
        canvas[top : top + size[1], left : left + size[0]] = resize(pixels, *size, self.frame.resampling)
        for y in range(0, high, side):
            for x in range(0, wide, side):
                yield canvas[y : y + side, x : x + side]


def read_llava(config: Fields, processor: Fields) -> Llava:
    """LLaVA 1.5's sight. Raises Invalid naming the field."""
    vision = config.object("vision_config") or Fields(config.source, {})
    siglip = vision.text("model_type", "clip_vision_model").startswith("siglip")
    encoder = read_encoder(vision, **(_SIGLIP if siglip else _CLIP))
    activation = config.text("projector_hidden_act", "gelu")
    if activation not in ("gelu", "gelu_pytorch_tanh", "silu"):
        raise config.refuse("projector_hidden_act", f"{activation!r} is not supported")
    chosen = config.get("vision_feature_layer", -2)
    return Llava(
        encoder=encoder,
        kind=SIGLIP if siglip else CLIP,
        frame=read_frame(processor, pads=True, mean=CLIP_MEAN, deviation=CLIP_DEVIATION),
        layers=tuple(_layer(config, each, encoder) for each in (chosen if isinstance(chosen, list) else [chosen])),
        drops=config.text("vision_feature_select_strategy", "default") == "default",
        width=config.integer("hidden_size"),
        activation=activation,
        bias=config.flag("multimodal_projector_bias", True),
    )


def read_llava_next(config: Fields, processor: Fields) -> Llava:
    """LLaVA-NeXT's sight. Raises Invalid naming the field."""
    plain = read_llava(config, Fields(processor.source, {**processor, "do_pad": False}))
    side = plain.encoder.image
    sizes = config.sequence("image_grid_pinpoints") or processor.sequence("image_grid_pinpoints") or []
    grids = [tuple(size) for size in sizes if isinstance(size, list) and len(size) == 2]
    if not grids or any(not isinstance(each, int) or each < side or each % side for size in grids for each in size):
        raise config.refuse("image_grid_pinpoints", f"is {sizes!r}, not a list of sizes in whole squares of {side}")
    return Llava(
        encoder=plain.encoder,
        kind=plain.kind,
        frame=plain.frame,
        layers=plain.layers,
        drops=plain.drops,
        width=plain.width,
        activation=plain.activation,
        bias=plain.bias,
        grids=tuple((high, wide) for high, wide in grids),
    )


def _layer(config: Fields, number: object, encoder: Encoder) -> int:
    """How many layers are behind the states that `vision_feature_layer` names."""
    if not isinstance(number, int) or not -encoder.layers - 1 <= number <= encoder.layers:
        raise config.refuse("vision_feature_layer", f"is {number!r}; the tower has {encoder.layers} layers")
    return number if number >= 0 else encoder.layers + 1 + number
