"""Idefics3 and SmolVLM: a picture is cut into squares, shown after a small one of the whole.

Rule: sizes as in the processors of both families, which are one; each square gives equally many features, squares of
neighbouring patches being folded into one (pixel shuffle). Paper: arXiv 2408.12637; 2504.05299 for SmolVLM.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import NDArray
from PIL.Image import Resampling

from haiga.core.pictures import Grid, Picture
from haiga.models.fields import Fields
from haiga.models.graph import constant
from haiga.models.vision.pixels import Pixels, Scale, patches, pixels_of, read_resampling, read_scale, resize
from haiga.models.vision.sight import Features, View
from haiga.models.vision.tower import Encoder, TowerGraph, encode, find_prefix, read_encoder
from haiga.models.weights import Tensors, Weights

_HALF = (0.5,) * 3
_LARGEST = 4096  # pixels of a side, however large a config wants it
_IMAGE, _AROUND, _WHOLE = "<image>", "<fake_token_around_image>", "<global-img>"


@dataclass(frozen=True, slots=True)
class Idefics:
    """longest: pixels of the longer side that a picture is resized to; square: side of what it is cut into; None for a
    picture that is not cut. fold: patches along a side that become one feature. width: of a feature."""

    encoder: Encoder
    width: int
    fold: int
    longest: int
    square: int
    splits: bool
    scale: Scale
    resampling: Resampling
    resizes: bool = True

    token: ClassVar[str] = _IMAGE
    written: ClassVar[str] = _IMAGE
    filler: ClassVar[str] = _IMAGE
    mutual: ClassVar[bool] = False

    @property
    def _count(self) -> int:
        """Features of a square."""
        return (self.square // self.encoder.patch // self.fold) ** 2

    def spelling(self, width: int, height: int) -> str:
        square = _IMAGE * self._count
        whole = f"{_AROUND}{_WHOLE}{square}{_AROUND}"
        rows, columns = self._cut(width, height)
        if not rows:
            return whole
        lines = (
            "".join(f"{_AROUND}<row_{row + 1}_col_{column + 1}>{square}" for column in range(columns))
            for row in range(rows)
        )
        return "\n".join(lines) + f"\n\n{whole}"

    def grid(self, width: int, height: int) -> Grid | None:
        return None

    def views(self, picture: Picture) -> Iterator[View]:
        for pixels in self._squares(pixels_of(picture)):
            yield {"patches": patches(self.scale.of(pixels), self.encoder.patch)}

    def tower(self, weights: Weights) -> ov.Model:
        part, graph = self.encoder, TowerGraph(weights)
        at = find_prefix(weights.checkpoint, "vision_model.embeddings.patch_embedding.weight") + "vision_model."
        x = graph.input("patches", [-1, 3 * part.patch**2])
        x = graph.patched(x, at + "embeddings.patch_embedding", part.hidden, (3, part.patch, part.patch), True)
        table = weights.vector(at + "embeddings.position_embedding.weight", part.side**2, part.hidden)
        places = _places(self.square // part.patch, part.side)
        x = op.add(x, constant(table[(places[:, None] * part.side + places).reshape(-1)], np.float32))
        x = graph.layer_norm(encode(graph, part, at + "encoder.", x), at + "post_layernorm", part.hidden, part.eps)
        name = at.removesuffix("vision_model.") + "connector.modality_projection.proj"
        folded = graph.linear(self._folded(x), name, part.hidden * self.fold**2, self.width)
        return graph.model(folded, "features", "tower")

    def collect(self, seen: Sequence[Features], width: int, height: int, tensors: Tensors) -> Features:
        return np.concatenate(seen)

    def _folded(self, x: ov.Node) -> ov.Node:
        """[side * side, hidden] to [side * side / fold^2, hidden * fold^2]."""
        side, fold, hidden = self.square // self.encoder.patch, self.fold, self.encoder.hidden
        cut = op.reshape(x, constant([side // fold, fold, side // fold, fold, hidden], np.int64), False)
        turned = op.transpose(cut, constant([0, 2, 1, 3, 4], np.int64))
        return op.reshape(turned, constant([-1, hidden * fold**2], np.int64), False)

    def _sizes(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The size that a picture is resized to first, and the one that squares fill."""
        if self.resizes:
            width, height = _below(*_to_longest(width, height, self.longest))
        return (width, height), _whole_squares(width, height, self.square)

    def _cut(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of squares; none for a picture that is one square itself."""
        if not self.splits:
            return 0, 0
        _, (width, height) = self._sizes(width, height)
        if width <= self.square and height <= self.square:
            return 0, 0
        return height // self.square, width // self.square

    def _squares(self, pixels: Pixels) -> Iterator[Pixels]:
        height, width, _ = pixels.shape
        first, second = self._sizes(width, height)
        rows, columns = self._cut(width, height)
        side = self.square
        pixels = resize(pixels, *first, self.resampling) if self.resizes else pixels
        if self.splits:
            pixels = resize(pixels, *second, self.resampling)
        for row in range(rows):
            for column in range(columns):
                yield pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
        yield resize(pixels, side, side, self.resampling) if rows or not self.splits else pixels


def read_idefics(config: Fields, processor: Fields) -> Idefics:
    """The family's sight from config.json and its processor's config. Raises Invalid naming the field."""
    vision = config.object("vision_config") or Fields(config.source, {})
    encoder = read_encoder(
        vision,
        hidden_size=1152,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=16,
        image_size=224,
        patch_size=32,
        hidden_act="gelu_pytorch_tanh",
    )
    square = _side(processor, "max_image_size", 364)
    return Idefics(
        encoder=encoder,
        width=config.integer("hidden_size"),
        fold=config.integer("scale_factor", 2),
        longest=_side(processor, "size", 4 * 364),
        square=square,
        splits=processor.flag("do_image_splitting", True),
        scale=read_scale(processor, _HALF, _HALF),
        resampling=read_resampling(processor, Resampling.LANCZOS),
        resizes=processor.flag("do_resize", True),
    )


def _side(processor: Fields, name: str, default: int) -> int:
    size = processor.object(name)
    return default if size is None else size.integer("longest_edge")


def _to_longest(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size whose longer side is `longest`; the other one is even."""
    ratio = width / height
    if width >= height:
        width, height = longest, int(longest / ratio)
        height += height % 2
    else:
        width, height = int(longest * ratio), longest
        width += width % 2
    return max(width, 1), max(height, 1)


def _below(width: int, height: int) -> tuple[int, int]:
    ratio = width / height
    if width >= height and width > _LARGEST:
        width, height = _LARGEST, int(_LARGEST / ratio)
    elif height > width and height > _LARGEST:
        width, height = int(_LARGEST * ratio), _LARGEST
    return max(width, 1), max(height, 1)


def _whole_squares(width: int, height: int, side: int) -> tuple[int, int]:
    """The size rounded up to squares: the longer side first, the other from it."""
    ratio = width / height
    if width >= height:
        width = math.ceil(width / side) * side
        height = math.ceil(int(width / ratio) / side) * side
    else:
        height = math.ceil(height / side) * side
        width = math.ceil(int(height * ratio) / side) * side
    return width, height


def _places(count: int, side: int) -> NDArray[np.int64]:
    """The row of the table of positions, along one side, for each of `count` patches of a square: as far along the
    table as the patch is along the square. transformers finds them by comparing 32-bit fractions, which for some sizes
    rounds a patch into its neighbour's row, for others on other processors; where a square has as many patches as the
    table has rows, as in every published model, each has its own."""
    return np.arange(count) * side // count
