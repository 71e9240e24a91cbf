"""A mixture of experts: for each token a few of many small networks, and their sum.

Rule: only what is chosen is computed. The step's rows are sorted by expert and cut into one piece for each; an expert
that nobody chose gets a piece without rows, which the plugin passes over. Each expert's matrices are products of their
own, so that they run on the same kernels as any other layer, packed as any other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openvino.opset15 as op

from haiga.models.graph import Node, constant

Expert = Callable[[int, Node], Node]  # number and rows [n, hidden] to rows [n, hidden]
_ROWS = 0  # the axis


@dataclass(frozen=True, slots=True)
class Routing:
    """Which experts see a token [T, K], and the share that each has in its sum [T, K]."""

    chosen: Node
    shares: Node


def choose(scores: Node, count: int) -> Routing:
    """The `count` highest of scores [T, experts], with the scores as they are."""
    best = op.topk(scores, constant(count, np.int64), 1, "max", "value", index_element_type="i32")
    return Routing(best.output(1), best.output(0))


def choose_likeliest(logits: Node, count: int, share_out: bool) -> Routing:
    """The `count` likeliest of logits [T, experts], with their probabilities; `share_out`: brought to a sum of 1."""
    if share_out:  # which is what the softmax over the chosen alone gives
        best = choose(logits, count)
        return Routing(best.chosen, op.softmax(best.shares, 1))
    return choose(op.softmax(logits, 1), count)


def mix(x: Node, routing: Routing, chosen: int, experts: int, expert: Expert, weigh_input: bool = False) -> Node:
    """x [T, hidden] through the `chosen` of `experts` that each token has: the sum by shares, [T, hidden].

    weigh_input: the share multiplies what an expert is given, not what it gives.
    """
    sorted_ids, order = _sort(routing.chosen)
    rows = op.gather(x, op.divide(order, constant(chosen, np.int32)), constant(_ROWS, np.int64))
    if weigh_input:
        rows = op.multiply(rows, op.gather(_column(routing.shares), order, constant(_ROWS, np.int64)))
    pieces = op.variadic_split(rows, constant(_ROWS, np.int64), _counts(sorted_ids, experts))
    results = op.concat([expert(number, pieces.output(number)) for number in range(experts)], 0)
    back = op.scatter_update(
        op.broadcast(constant(0, np.float32), op.shape_of(results)), order, results, constant(_ROWS, np.int64)
    )
    if not weigh_input:
        back = op.multiply(back, _column(routing.shares))
    hidden = op.reshape(back, op.concat([constant([-1, chosen], np.int64), _width(x)], 0), False)
    return op.reduce_sum(hidden, constant([1], np.int64), False)


def _sort(chosen: Node) -> tuple[Node, Node]:
    """The experts of all rows [T * K] in order, and which row each was."""
    flat = op.reshape(chosen, constant([-1], np.int64), False)
    count = op.gather(op.shape_of(flat), constant(0, np.int64), constant(_ROWS, np.int64))
    ordered = op.topk(flat, count, 0, "min", "value", index_element_type="i32")
    return ordered.output(0), ordered.output(1)


def _counts(sorted_ids: Node, experts: int) -> Node:
    """How many rows each expert has."""
    numbers = constant(np.arange(experts), np.int32)
    ends = op.search_sorted(sorted_ids, numbers, True, "i32")
    begins = op.search_sorted(sorted_ids, numbers, False, "i32")
    return op.subtract(ends, begins)


def _column(shares: Node) -> Node:
    return op.reshape(shares, constant([-1, 1], np.int64), False)


def _width(x: Node) -> Node:
    return op.gather(op.shape_of(x), constant([1], np.int64), constant(_ROWS, np.int64))
