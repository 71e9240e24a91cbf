"""Qwen3-VL: every layer sees the whole picture; states of some layers go to the first layers of the decoder besides.

Rule: the learned table of places is stretched over the picture's patches, linearly in both directions; a feature is as
wide as all that the decoder takes of it (deepstack). Paper: arXiv 2511.21631.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import NDArray

from haiga.core.pictures import Picture
from haiga.models.fields import Fields
from haiga.models.graph import Node, constant
from haiga.models.vision.qwen import Qwen, angles, attended, patched, places, projected, read_qwen, read_sizes, turning
from haiga.models.vision.sight import View
from haiga.models.vision.tower import TowerGraph, activate, find_prefix
from haiga.models.weights import Weights

_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class Qwen3(Qwen):
    """side: of the table of places; deep: the layers whose states go to the decoder's first layers."""

    side: int = 48
    deep: tuple[int, ...] = ()

    def views(self, picture: Picture) -> Iterator[View]:
        (rows, columns), merge = self.grid(picture.width, picture.height), self.sizes.merge
        row, column = places((rows, columns), merge)
        found, shares = stretched(row, column, (rows * merge, columns * merge), self.side)
        yield {
            "patches": self.patches(picture),
            "angles": angles(row, column, self.sizes.heads.size),
            "places": found,
            "shares": shares,
        }

    def tower(self, weights: Weights) -> ov.Model:
        sizes, graph = self.sizes, TowerGraph(weights)
        at = find_prefix(weights.checkpoint, "patch_embed.proj.weight")
        x = op.add(patched(graph, sizes, at, bias=True), self._placed(graph, at))
        turned, taken = turning(graph, sizes), {}
        for number in range(sizes.layers):
            x = self._layer(graph, f"{at}blocks.{number}.", x, turned)
            if number in self.deep:
                taken[number] = x
        merged = [self._merged(graph, at + "merger.", x, first=True)]
        for which, number in enumerate(self.deep):
            merged.append(self._merged(graph, f"{at}deepstack_merger_list.{which}.", taken[number], first=False))
        return graph.model(op.concat(merged, -1), "features", "tower")

    def _placed(self, graph: TowerGraph, at: str) -> Node:
        table = graph.rows(at + "pos_embed.weight", self.side**2, self.sizes.hidden)
        four = op.gather(table, graph.input("places", [-1, 4], ov.Type.i64), constant(0, np.int64))
        shares = op.unsqueeze(graph.input("shares", [-1, 4]), constant(2, np.int64))
        return op.reduce_sum(op.multiply(four, shares), constant([1], np.int64), False)

    def _layer(self, graph: TowerGraph, at: str, x: Node, turned: tuple[Node, Node]) -> Node:
        sizes = self.sizes
        hidden = sizes.hidden
        normed = graph.layer_norm(x, at + "norm1", hidden, _EPS)
        mixed = attended(graph, sizes, projected(graph, sizes, at, normed, turned))
        x = op.add(x, graph.linear(mixed, at + "attn.proj", hidden, hidden, True))
        normed = graph.layer_norm(x, at + "norm2", hidden, _EPS)
        wide = activate(graph.linear(normed, at + "mlp.linear_fc1", hidden, sizes.inner, True), sizes.activation)
        return op.add(x, graph.linear(wide, at + "mlp.linear_fc2", sizes.inner, hidden, True))

    def _merged(self, graph: TowerGraph, at: str, x: Node, first: bool) -> Node:
        """Neighbouring patches' states as features [N / merge^2, width]; normed before they are joined, or after."""
        hidden, wide = self.sizes.hidden, self.sizes.hidden * self.sizes.merge**2
        joined = constant([-1, wide], np.int64)
        if first:
            x = op.reshape(graph.layer_norm(x, at + "norm", hidden, _EPS), joined, False)
        else:
            x = graph.layer_norm(op.reshape(x, joined, False), at + "norm", wide, _EPS)
        x = op.gelu(graph.linear(x, at + "linear_fc1", wide, wide, True), "erf")
        return graph.linear(x, at + "linear_fc2", wide, self.sizes.width, True)


def stretched(
    row: NDArray[np.int64], column: NDArray[np.int64], size: tuple[int, int], side: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each patch the four places of a table [side, side] that it lies between, and their shares [N, 4]; a
    picture's corners are the table's."""
    (top, down), (left, right) = _taps(row, size[0], side), _taps(column, size[1], side)
    found = (top[:, :, None] * side + left[:, None, :]).reshape(-1, 4)
    return found, (down[:, :, None] * right[:, None, :]).reshape(-1, 4)


def _taps(place: NDArray[np.int64], count: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The two places along one side that each of `count` lies between, and their shares [N, 2]."""
    at = place.astype(np.float32) * np.float32(side - 1) / np.float32(max(count - 1, 1))
    floor = np.floor(at)
    raw = floor.astype(np.int64)[:, None] + np.arange(2)
    shares = 1 - np.abs(at[:, None] - raw.astype(np.float32))
    return np.clip(raw, 0, side - 1), np.clip(shares, 0, None).astype(np.float32)


def read_qwen3(config: Fields, processor: Fields) -> Qwen3:
    """The sight from config.json and its processor's config. Raises Invalid naming the field."""
    sizes = read_sizes(config, "gelu_pytorch_tanh", 16)
    vision = config.object("vision_config") or Fields(config.source, {})
    side = isqrt(vision.integer("num_position_embeddings", 2304))
    plain = read_qwen(sizes, processor)
    return Qwen3(
        sizes, plain.least, plain.most, plain.scale, plain.resampling, plain.resizes, side=side, deep=read_deep(config)
    )


def read_deep(config: Fields) -> tuple[int, ...]:
    """The tower's layers whose states go to the decoder. Raises Invalid naming the field."""
    vision = config.object("vision_config") or Fields(config.source, {})
    listed = vision.sequence("deepstack_visual_indexes")
    deep = (8, 16, 24) if listed is None else tuple(listed)
    layers = vision.integer("depth", 27)
    if any(not isinstance(each, int) or not 0 <= each < layers for each in deep):
        raise vision.refuse("deepstack_visual_indexes", f"is {listed!r}; the tower has {layers} layers")
    return deep
