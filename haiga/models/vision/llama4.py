"""Llama 4: a picture on the canvas of squares that it fits best, unspoilt, then the whole in one square.

Rule: as the published processor, arithmetic in 16 bits included. That processor resizes by torchvision; the filter here
is Pillow's, of the same kind.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import openvino as ov
import openvino.opset15 as op
from PIL.Image import Resampling

from haiga.core.pictures import Grid, Picture
from haiga.models.fields import Fields
from haiga.models.geometry import Heads
from haiga.models.graph import Node, constant
from haiga.models.vision.pixels import Pixels, Scale, Scaled, patches, pixels_of, read_resampling, read_scale, resize
from haiga.models.vision.sight import Features, View
from haiga.models.vision.tower import Encoder, TowerGraph, activate, find_prefix, read_encoder
from haiga.models.weights import Tensors, Weights
from haiga.models.weights.checkpoint import decode_bf16, encode_bf16

_HALF = (0.5,) * 3
_IMAGE, _PATCH = "<|image|>", "<|patch|>"
_BEGIN, _END, _BESIDE, _BELOW = "<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>"
_EPS = 1e-5  # of every norm, whatever the config says


@dataclass(frozen=True, slots=True)
class Llama4:
    """fold: patches along a side that become one feature; outer: widths of the adapter behind the tower; width: of a
    feature; theta: of the tower's rope. most: squares of a canvas; fills: whether small pictures are enlarged."""

    encoder: Encoder
    fold: int
    outer: tuple[int, int]
    width: int
    theta: float
    most: int
    fills: bool
    scale: Scale
    resampling: Resampling

    token: ClassVar[str] = _IMAGE
    written: ClassVar[str] = _IMAGE
    filler: ClassVar[str] = _PATCH
    mutual: ClassVar[bool] = False

    def spelling(self, width: int, height: int) -> str:
        square = _PATCH * (self.encoder.side // self.fold) ** 2
        rows, columns = self._cut(width, height)
        tiles = (_BESIDE.join([square] * columns) + _BELOW) * rows if rows * columns > 1 else ""
        return f"{_BEGIN}{tiles}{_IMAGE}{square}{_END}"

    def grid(self, width: int, height: int) -> Grid | None:
        return None

    def views(self, picture: Picture) -> Iterator[View]:
        for square in self._squares(pixels_of(picture)):
            yield {"patches": patches(_rounded(self.scale, square), self.encoder.patch)}

    def tower(self, weights: Weights) -> ov.Model:
        part, graph = self.encoder, TowerGraph(weights)
        at = find_prefix(weights.checkpoint, "patch_embedding.linear.weight")
        x = graph.input("patches", [-1, 3 * part.patch**2])
        x = graph.linear(x, at + "patch_embedding.linear", 3 * part.patch**2, part.hidden)
        last = weights.vector(at + "class_embedding", part.hidden).reshape(1, -1)
        table = graph.rows(at + "positional_embedding_vlm", part.side**2 + 1, part.hidden)
        x = op.add(op.concat([x, constant(last, np.float32)], 0), table)
        x = graph.layer_norm(x, at + "layernorm_pre", part.hidden, _EPS)
        turned = self._turned()
        for number in range(part.layers):
            x = self._layer(graph, f"{at}model.layers.{number}.", x, turned)
        x = graph.layer_norm(x, at + "layernorm_post", part.hidden, _EPS)
        return graph.model(self._projected(graph, at, x), "features", "tower")

    def collect(self, seen: Sequence[Features], width: int, height: int, tensors: Tensors) -> Features:
        return np.concatenate(seen)

    def _projected(self, graph: TowerGraph, at: str, x: Node) -> Node:
        """All states but the class's, folded and brought to the decoder's width."""
        side, fold, hidden = self.encoder.side, self.fold, self.encoder.hidden
        x = op.gather(x, constant(np.arange(side**2), np.int64), constant(0, np.int64))
        cut = op.reshape(x, constant([side // fold, fold, side // fold, fold, hidden], np.int64), False)
        turned = op.transpose(cut, constant([0, 2, 1, 3, 4], np.int64))
        x = op.reshape(turned, constant([-1, hidden * fold**2], np.int64), False)
        into, out = self.outer
        x = op.gelu(graph.linear(x, at + "vision_adapter.mlp.fc1", hidden * fold**2, into), "erf")
        x = op.gelu(graph.linear(x, at + "vision_adapter.mlp.fc2", into, out), "erf")
        name = "multi_modal_projector.linear_1"
        return graph.linear(x, find_prefix(graph.weights.checkpoint, name + ".weight") + name, out, self.width)

    def _turned(self) -> tuple[Node, Node]:
        """Cosine and sine [N, 1, size] of what heads are turned by: columns, then rows, counted from one; the class
        by nothing."""
        size, side = self.encoder.hidden // self.encoder.heads, self.encoder.side
        powers = np.arange(0, size // 2, 2, dtype=np.float32) / np.float32(size // 2)
        frequencies = (1 / np.float32(self.theta) ** powers).astype(np.float32)
        row, column = (each.reshape(-1, 1) + 1 for each in np.indices((side, side)))
        half = np.concatenate([column * frequencies, row * frequencies], axis=1)
        half = np.concatenate([half, np.zeros((1, half.shape[1]))])
        both = np.concatenate([half, half], axis=1)[:, None].astype(np.float32)
        return constant(np.cos(both), np.float32), constant(np.sin(both), np.float32)

    def _layer(self, graph: TowerGraph, at: str, x: Node, turned: tuple[Node, Node]) -> Node:
        part = self.encoder
        normed = graph.layer_norm(x, at + "input_layernorm", part.hidden, _EPS)
        x = op.add(x, self._attention(graph, at + "self_attn.", normed, turned))
        normed = graph.layer_norm(x, at + "post_attention_layernorm", part.hidden, _EPS)
        wide = activate(graph.linear(normed, at + "mlp.fc1", part.hidden, part.inner, True), "gelu")
        return op.add(x, graph.linear(wide, at + "mlp.fc2", part.inner, part.hidden, True))

    def _attention(self, graph: TowerGraph, at: str, x: Node, turned: tuple[Node, Node]) -> Node:
        hidden, count = self.encoder.hidden, self.encoder.heads
        heads = Heads(count, count, hidden // count)
        q, k, v = (graph.linear(x, f"{at}{name}_proj", hidden, hidden, True) for name in "qkv")
        q, k = (_turn(graph, part, heads, turned) for part in (q, k))
        split = constant([-1, count, heads.size], np.int64)
        axes, front = constant([1, 0, 2], np.int64), constant(0, np.int64)
        parts = (q, k, op.reshape(v, split, False))
        q, k, v = (op.unsqueeze(op.transpose(part, axes), front) for part in parts)
        return graph.linear(graph.mixed(q, k, v, heads, heads.size**-0.5), at + "o_proj", hidden, hidden, True)

    def _cut(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of the canvas: the least enlargement that fills one of the canvases, else the least
        shrinking; of equals the smallest canvas."""
        found = canvases(self.most)
        side = np.float32(self.encoder.image)
        scales = [
            min(np.float32(columns) * side / np.float32(width), np.float32(rows) * side / np.float32(height))
            for rows, columns in found
        ]
        large = [scale for scale in scales if scale >= 1]
        chosen = (max(large) if self.fills else min(large)) if large else max(scales)
        fitting = [canvas for canvas, scale in zip(found, scales, strict=True) if scale == chosen]
        return min(fitting, key=lambda canvas: canvas[0] * canvas[1])

    def _squares(self, pixels: Pixels) -> Iterator[Pixels]:
        (height, width, _), side = pixels.shape, self.encoder.image
        rows, columns = self._cut(width, height)
        high, wide = rows * side, columns * side
        most = (high, wide) if self.fills else (min(max(height, side), high), min(max(width, side), wide))
        size = _within(width, height, most)
        canvas = np.zeros((high, wide, 3), np.uint8)
        canvas[: size[1], : size[0]] = resize(pixels, *size, self.resampling)
        for row in range(rows):
            for column in range(columns):
                yield canvas[row * side : (row + 1) * side, column * side : (column + 1) * side]
        if rows * columns > 1:
            yield resize(pixels, side, side, self.resampling)


def canvases(most: int) -> list[tuple[int, int]]:
    """Every (rows, columns) of at most `most` squares, those of one ratio together, larger ones first."""
    by_ratio: dict[float, list[tuple[int, int]]] = {}
    for count in range(most, 0, -1):
        for rows in range(1, count + 1):
            if count % rows == 0:
                by_ratio.setdefault(rows / (count // rows), []).append((rows, count // rows))
    return [canvas for group in by_ratio.values() for canvas in group]


def _within(width: int, height: int, most: tuple[int, int]) -> tuple[int, int]:
    """The largest size (width, height) of that ratio within `most` (height, width)."""
    high, wide = most
    across, down = wide / width, high / height
    if across < down:
        return wide, max(min(math.floor(height * across), high), 1)
    return max(min(math.floor(width * down), wide), 1), high


def _rounded(scale: Scale, pixels: Pixels) -> Scaled:
    """As `Scale.of`, each step rounded to bfloat16."""
    mean, deviation = (np.asarray(each, np.float32) for each in (scale.mean, scale.deviation))
    x = _bf16(np.multiply(pixels, scale.factor, dtype=np.float32))
    return _bf16(np.divide(_bf16(np.subtract(x, mean)), deviation))


def _bf16(values: Scaled) -> Scaled:
    return decode_bf16(encode_bf16(values))


def _turn(graph: TowerGraph, x: Node, heads: Heads, turned: tuple[Node, Node]) -> Node:
    """Heads [N, count, size] whose neighbouring numbers are pairs, turned; the pairs become halves, in queries and keys
    alike."""
    split = graph.unpair(graph.split_heads(x, heads.query, heads.size), heads.query, heads.size, heads.size)
    x = op.reshape(split, constant([-1, heads.query, heads.size], np.int64), False)
    first, second = graph.split(x, heads.size // 2, heads.size // 2)
    crossed = op.concat([op.negative(second), first], -1)
    return op.add(op.multiply(x, turned[0]), op.multiply(crossed, turned[1]))


def read_llama4_sight(config: Fields, processor: Fields) -> Llama4:
    """The family's sight from config.json and its processor's config. Raises Invalid naming the field."""
    vision = config.object("vision_config") or Fields(config.source, {})
    encoder = read_encoder(
        vision,
        hidden_size=768,
        intermediate_size=5632,
        num_hidden_layers=34,
        num_attention_heads=16,
        image_size=448,
        patch_size=14,
    )
    ratio = vision.number("pixel_shuffle_ratio", 0.5, least=0.01, most=1)
    fold = round(1 / ratio)
    if encoder.inner != encoder.hidden * fold**2 or encoder.side % fold:
        raise vision.refuse("pixel_shuffle_ratio", f"({ratio}) does not go with the tower's other sizes")
    rope = vision.object("rope_parameters") or vision
    size = processor.object("size")
    if size is not None and size.integer("height") != encoder.image:
        raise processor.refuse("size", f"is not that of the tower, {encoder.image}")
    return Llama4(
        encoder=encoder,
        fold=fold,
        outer=(vision.integer("projector_input_dim", 4096), vision.integer("projector_output_dim", 4096)),
        width=config.integer("hidden_size"),
        theta=rope.number("rope_theta", 10_000.0),
        most=processor.integer("max_patches", 16),
        fills=processor.flag("resize_to_max_canvas", False),
        scale=read_scale(processor, _HALF, _HALF),
        resampling=read_resampling(processor, Resampling.BILINEAR),
    )
