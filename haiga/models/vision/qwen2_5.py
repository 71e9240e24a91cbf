"""Qwen2.5-VL: most layers see windows of the picture, a few the whole.

Rule: patches lie window by window while the tower runs; windows are laid out at one size, and what fills up those at
the edges is masked. Paper: arXiv 2502.13923.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import NDArray

from haiga.core.pictures import Grid, Picture
from haiga.models.fields import Fields
from haiga.models.graph import Node, Norm, constant
from haiga.models.mlp import ACTIVATIONS, Gated, gated
from haiga.models.vision.qwen import (
    Qwen,
    Sizes,
    angles,
    attended,
    patched,
    places,
    projected,
    read_qwen,
    read_sizes,
    turning,
)
from haiga.models.vision.sight import View
from haiga.models.vision.tower import TowerGraph, find_prefix
from haiga.models.weights import Weights

_NORM = Norm(1e-6)
_NEVER = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True)
class Qwen25(Qwen):
    """window: features along a side of what most layers see; whole: the layers that see all."""

    window: int = 4
    whole: frozenset[int] = frozenset()

    def views(self, picture: Picture) -> Iterator[View]:
        grid, unit = self.grid(picture.width, picture.height), self.sizes.merge**2
        order, counts = windows(grid, self.window)
        patches = (order[:, None] * unit + np.arange(unit)).reshape(-1)
        row, column = places(grid, self.sizes.merge)
        slots, mask = _slots(counts * unit, self.window**2 * unit)
        yield {
            "patches": self.patches(picture)[patches],
            "angles": angles(row[patches], column[patches], self.sizes.heads.size),
            "slots": slots,
            "mask": mask,
            "back": np.flatnonzero(mask.reshape(-1) == 0),
            "order": np.argsort(order),
        }

    def tower(self, weights: Weights) -> ov.Model:
        sizes, graph = self.sizes, TowerGraph(weights)
        at = find_prefix(weights.checkpoint, "patch_embed.proj.weight")
        x, turned = patched(graph, sizes, at, bias=False), turning(graph, sizes)
        laid = _Windows(graph)
        for number in range(sizes.layers):
            x = self._layer(graph, f"{at}blocks.{number}.", x, turned, None if number in self.whole else laid)
        x = graph.norm(x, _NORM, at + "merger.ln_q", sizes.hidden)
        wide = sizes.hidden * sizes.merge**2
        x = op.reshape(x, constant([-1, wide], np.int64), False)
        x = op.gelu(graph.linear(x, at + "merger.mlp.0", wide, wide, True), "erf")
        x = graph.linear(x, at + "merger.mlp.2", wide, sizes.width, True)
        ordered = op.gather(x, graph.input("order", [-1], ov.Type.i64), constant(0, np.int64))
        return graph.model(ordered, "features", "tower")

    def _layer(self, graph: TowerGraph, at: str, x: Node, turned: tuple[Node, Node], laid: "_Windows | None") -> Node:
        sizes = self.sizes
        parts = projected(graph, sizes, at, graph.norm(x, _NORM, at + "norm1", sizes.hidden), turned)
        mixed = attended(graph, sizes, parts) if laid is None else laid.attended(sizes, parts)
        x = op.add(x, graph.linear(mixed, at + "attn.proj", sizes.hidden, sizes.hidden, True))
        part = Gated(sizes.hidden, sizes.inner, sizes.activation, bias=True)
        return op.add(x, gated(graph, part, at + "mlp.", graph.norm(x, _NORM, at + "norm2", sizes.hidden)))


class _Windows:
    """How patches are laid out in windows of one size: slots [W, M] are patches, -1 for none; mask [W, M] is added to
    scores; back [N] finds the patches again."""

    def __init__(self, graph: TowerGraph) -> None:
        self._graph = graph
        self._slots = graph.input("slots", [-1, -1], ov.Type.i64)
        mask = graph.input("mask", [-1, -1])
        self._mask = op.unsqueeze(mask, constant([1, 2], np.int64))
        self._back = graph.input("back", [-1], ov.Type.i64)

    def attended(self, sizes: Sizes, parts: list[Node]) -> Node:
        """Attention within windows: [N, hidden]."""
        axis, axes = constant(0, np.int64), constant([0, 2, 1, 3], np.int64)
        q, k, v = (op.transpose(op.gather(part, self._slots, axis), axes) for part in parts)
        mixed = self._graph.mixed(q, k, v, sizes.heads, sizes.heads.size**-0.5, self._mask)
        return op.gather(mixed, self._back, axis)


def windows(grid: Grid, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The features of a picture window by window, and how many each window has."""
    row, column = (each.reshape(-1) for each in np.indices(grid))
    window = row // size * (-(-grid[1] // size)) + column // size
    order = np.argsort(window, kind="stable")
    return order, np.bincount(window)


def _slots(counts: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Windows of `counts` patches laid out at `width` each: the patches' numbers, and what is added to scores."""
    real = np.arange(width) < counts[:, None]
    slots = np.zeros(real.shape, np.int64)  # what fills up is any patch, masked
    slots[real] = np.arange(counts.sum())
    return slots, np.where(real, 0, _NEVER).astype(np.float32)


def read_qwen2_5(config: Fields, processor: Fields) -> Qwen25:
    """The sight from config.json and its processor's config. Raises Invalid naming the field."""
    sizes = read_sizes(config, "silu", 14)
    vision = config.object("vision_config") or Fields(config.source, {})
    if sizes.activation not in ACTIVATIONS:
        raise vision.refuse("hidden_act", f"{sizes.activation!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    window = vision.integer("window_size", 112) // sizes.merge // sizes.patch
    if window < 1:
        raise vision.refuse("window_size", f"is smaller than {sizes.merge} patches of {sizes.patch}")
    plain = read_qwen(sizes, processor)
    whole = vision.sequence("fullatt_block_indexes")
    chosen = frozenset((7, 15, 23, 31) if whole is None else whole)
    return Qwen25(
        sizes, plain.least, plain.most, plain.scale, plain.resampling, plain.resizes, window=window, whole=chosen
    )
