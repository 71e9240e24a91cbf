"""What adapters add to a product y = x W^T: each token's own (x A^T) B, in the same graph.

Rule: A and B are inputs, [slots, rank, inner] and [slots, rank, outer], so that adapters come and go without a new
graph. Tokens are laid out by slot, and each factor is one batched product: every adapter's weights are read once,
whoever else is in the step, and no token is multiplied with an adapter that it has not.

Where answers must not depend on what else runs (`each`), every token is multiplied by itself, with copies of its
adapter's factors: slow, and only for models that are small.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import openvino as ov
import openvino.opset15 as op

Node: TypeAlias = Any
Input = Callable[[str, list[int], ov.Type], Node]
A, B = "lora_A.", "lora_B."
SLOTS, ROWS, BACK = "adapter_slots", "adapter_rows", "adapter_back"


@dataclass(frozen=True, slots=True)
class Adapted:
    """The layers of a graph that adapters may change, by name; `each`: as above."""

    layers: frozenset[str] = frozenset()
    each: bool = False


NONE = Adapted()


class Products:
    """The part of a graph that its adapters are: `layers` are those that have one. Further inputs: `adapter_slots` [T],
    each token's slot; or `adapter_rows` [slots, M], which tokens are in each slot, and `adapter_back` [T], where in
    [slots * M] each token is: or one place for all, that of slot 0."""

    def __init__(self, make_input: Input, adapted: Adapted) -> None:
        self._input, self._layers, self._each = make_input, adapted.layers, adapted.each
        self._laid: dict[int, tuple[Node, Node]] = {}  # by identity; what was laid out is held to keep it so
        if adapted.each:
            self._slots = make_input(SLOTS, [-1], ov.Type.i32)
        else:
            self._rows = make_input(ROWS, [-1, -1], ov.Type.i32)
            self._back = make_input(BACK, [-1], ov.Type.i32)

    def add(self, y: Node, x: Node, layer: str, inner: int, outer: int) -> Node:
        """y [T, outer] and what the adapters make of x [T, inner]."""
        if layer not in self._layers:
            return y
        down = self._factor(self._input(A + layer, [-1, -1, inner], ov.Type.f32))
        up = self._factor(self._input(B + layer, [-1, -1, outer], ov.Type.f32))
        product = op.matmul(op.matmul(self._lay_out(x), down, False, True), up, False, False)
        flat = op.reshape(product, _numbers([-1, outer]), False)
        return op.add(y, flat if self._each else op.gather(flat, self._back, _numbers(0)))

    def _factor(self, bank: Node) -> Node:
        return op.gather(bank, self._slots, _numbers(0)) if self._each else bank

    def _lay_out(self, x: Node) -> Node:
        """x as [slots, M, inner], once for all layers that share it."""
        if id(x) not in self._laid:
            self._laid[id(x)] = x, self._by_slot(x)
        return self._laid[id(x)][1]

    def _by_slot(self, x: Node) -> Node:
        if self._each:
            return op.unsqueeze(x, _numbers(1))
        return op.gather(x, self._rows, _numbers(0))


def _numbers(value: int | list[int]) -> Node:
    return op.constant(np.asarray(value, np.int64))
