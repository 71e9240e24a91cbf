"""What Qwen2.5-VL and Qwen3-VL have in common: a picture keeps its own size, in whole patches, within bounds.

Rule: four neighbouring patches become one feature, and patches lie in that order throughout; each knows its row and
column by a rope of its own. Papers: arXiv 2409.12191, 2502.13923, 2511.21631.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import openvino.opset15 as op
from numpy.typing import NDArray
from PIL.Image import Resampling

from haiga.core.errors import Invalid
from haiga.core.pictures import Grid, Picture
from haiga.models.fields import Fields
from haiga.models.geometry import Heads
from haiga.models.graph import Node, constant
from haiga.models.vision.frame import CLIP_DEVIATION, CLIP_MEAN
from haiga.models.vision.pixels import Scale, Scaled, pixels_of, read_resampling, read_scale, resize
from haiga.models.vision.sight import Features
from haiga.models.vision.tower import ACTIVATIONS, TowerGraph
from haiga.models.weights import Tensors

_PAD, _BEGIN, _END = "<|image_pad|>", "<|vision_start|>", "<|vision_end|>"
_NARROWEST = 200  # times that one side may be as long as the other
_THETA = 10_000.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a tower: hidden and inner width, layers, heads; patch: pixels of a side; merge: patches along a side of what
    becomes one feature; width: of a feature; frames: that the kernel of patches is made for, a picture being each."""

    hidden: int
    inner: int
    layers: int
    heads: Heads
    patch: int
    merge: int
    width: int
    frames: int
    activation: str


@dataclass(frozen=True, slots=True)
class Qwen:
    """least, most: pixels that a picture is brought to."""

    sizes: Sizes
    least: int
    most: int
    scale: Scale
    resampling: Resampling
    resizes: bool

    token: ClassVar[str] = _PAD
    written: ClassVar[str] = f"{_BEGIN}{_PAD}{_END}"
    filler: ClassVar[str] = _PAD
    mutual: ClassVar[bool] = False

    def spelling(self, width: int, height: int) -> str:
        rows, columns = self.grid(width, height)
        return _PAD * (rows * columns)

    def grid(self, width: int, height: int) -> Grid:
        """Rows and columns of features. Raises Invalid for a picture that is far longer than wide."""
        width, height = self._size(width, height)
        unit = self.sizes.patch * self.sizes.merge
        return height // unit, width // unit

    def collect(self, seen: Sequence[Features], width: int, height: int, tensors: Tensors) -> Features:
        return seen[0]

    def patches(self, picture: Picture) -> Scaled:
        """The picture's patches [N, 3 * patch * patch], those of a feature side by side."""
        pixels = pixels_of(picture)
        if self.resizes:
            pixels = resize(pixels, *self._size(picture.width, picture.height), self.resampling)
        (rows, columns), merge, patch = self.grid(picture.width, picture.height), self.sizes.merge, self.sizes.patch
        scaled = self.scale.of(pixels[: rows * merge * patch, : columns * merge * patch])
        cut = scaled.reshape(rows, merge, patch, columns, merge, patch, 3)
        return np.ascontiguousarray(cut.transpose(0, 3, 1, 4, 6, 2, 5)).reshape(-1, 3 * patch * patch)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """The size in pixels, in whole features; as the reference's `smart_resize`."""
        unit = self.sizes.patch * self.sizes.merge
        if max(width, height) > _NARROWEST * min(width, height):
            raise Invalid(f"an image may be at most {_NARROWEST} times as long as it is wide, not {width}x{height}")
        if not self.resizes:
            return width, height
        wide, high = round(width / unit) * unit, round(height / unit) * unit
        if wide * high > self.most:
            shrink = math.sqrt(width * height / self.most)
            wide, high = (max(unit, math.floor(each / shrink / unit) * unit) for each in (width, height))
        elif wide * high < self.least:
            grow = math.sqrt(self.least / (width * height))
            wide, high = (math.ceil(each * grow / unit) * unit for each in (width, height))
        return wide, high


def read_sizes(config: Fields, activation: str, default_patch: int) -> Sizes:
    """The tower's sizes from config.json's vision_config. Raises Invalid naming the field."""
    vision = config.object("vision_config") or Fields(config.source, {})
    hidden, heads = vision.integer("hidden_size", 1152), vision.integer("num_heads", 16)
    if hidden % heads or hidden // heads % 4:
        raise vision.refuse("num_heads", f"({heads}) leaves no heads of four quarters of hidden_size ({hidden})")
    activation = vision.text("hidden_act", activation)
    if activation not in ACTIVATIONS:
        raise vision.refuse("hidden_act", f"{activation!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    return Sizes(
        hidden=hidden,
        inner=vision.integer("intermediate_size"),
        layers=vision.integer("depth"),
        heads=Heads(heads, heads, hidden // heads),
        patch=vision.integer("patch_size", default_patch),
        merge=vision.integer("spatial_merge_size", 2),
        width=vision.integer("out_hidden_size"),
        frames=vision.integer("temporal_patch_size", 2),
        activation=activation,
    )


def read_bounds(processor: Fields) -> tuple[int, int]:
    """The least and the most pixels that a processor's config gives. Raises Invalid naming the field."""
    size = processor.object("size") or Fields(processor.source, {})
    least = processor.integer("min_pixels", size.integer("shortest_edge", 56 * 56))
    most = processor.integer("max_pixels", size.integer("longest_edge", 28 * 28 * 1280))
    if least > most:
        raise processor.refuse("min_pixels", f"({least}) is more than max_pixels ({most})")
    return least, most


def read_qwen(sizes: Sizes, processor: Fields) -> Qwen:
    """How pictures are prepared. Raises Invalid naming the field."""
    return Qwen(
        sizes,
        *read_bounds(processor),
        scale=read_scale(processor, CLIP_MEAN, CLIP_DEVIATION),
        resampling=read_resampling(processor, Resampling.BICUBIC),
        resizes=processor.flag("do_resize", True),
    )


def places(grid: Grid, merge: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of every patch [N], those of a feature side by side, of a picture of `grid` features."""
    rows, columns = np.indices((grid[0] * merge, grid[1] * merge))
    blocks = (grid[0], merge, grid[1], merge)
    row, column = (each.reshape(blocks).transpose(0, 2, 1, 3).reshape(-1) for each in (rows, columns))
    return row, column


def angles(row: NDArray[np.int64], column: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Radians [N, size / 2] that a head's pairs are turned by: the first half by row, the second by column."""
    powers = np.arange(0, size // 2, 2, dtype=np.float32) / np.float32(size // 2)
    frequencies = (1 / _THETA**powers).astype(np.float32)
    turned = [place[:, None].astype(np.float32) * frequencies for place in (row, column)]
    return np.concatenate(turned, axis=1)


def patched(graph: TowerGraph, sizes: Sizes, at: str, bias: bool) -> Node:
    """The view's patches times the kernel: [N, hidden]. All frames are one picture, so their kernels are added."""
    x = graph.input("patches", [-1, 3 * sizes.patch**2])
    shape = (sizes.hidden, 3, sizes.frames, sizes.patch, sizes.patch)
    kernel = graph.weights.vector(at + "patch_embed.proj.weight", *shape).sum(2).reshape(sizes.hidden, -1)
    product = op.matmul(x, constant(kernel, np.float32), False, True)
    return op.add(product, graph.vector(at + "patch_embed.proj.bias", sizes.hidden)) if bias else product


def turning(graph: TowerGraph, sizes: Sizes) -> tuple[Node, Node]:
    """Cosine and sine [N, 1, size] of the view's `angles`."""
    half = graph.input("angles", [-1, sizes.heads.size // 2])
    both = op.unsqueeze(op.concat([half, half], -1), constant(1, np.int64))
    return op.cos(both), op.sin(both)


def projected(graph: TowerGraph, sizes: Sizes, at: str, x: Node, turned: tuple[Node, Node]) -> list[Node]:
    """Queries and keys turned to their places, and values: [N, heads, size] each."""
    hidden, heads = sizes.hidden, sizes.heads
    parts = graph.split(graph.linear(x, at + "attn.qkv", hidden, 3 * hidden, True), hidden, hidden, hidden)
    q, k, v = (op.reshape(part, constant([-1, heads.query, heads.size], np.int64), False) for part in parts)
    return [_turn(graph, q, heads.size, turned), _turn(graph, k, heads.size, turned), v]


def _turn(graph: TowerGraph, x: Node, size: int, turned: tuple[Node, Node]) -> Node:
    first, second = graph.split(x, size // 2, size // 2)
    crossed = op.concat([op.negative(second), first], -1)
    return op.add(op.multiply(x, turned[0]), op.multiply(crossed, turned[1]))


def attended(graph: TowerGraph, sizes: Sizes, parts: list[Node]) -> Node:
    """Attention of every patch over all: [N, hidden]."""
    axes, front = constant([1, 0, 2], np.int64), constant(0, np.int64)
    q, k, v = (op.unsqueeze(op.transpose(part, axes), front) for part in parts)
    return graph.mixed(q, k, v, sizes.heads, sizes.heads.size**-0.5)
