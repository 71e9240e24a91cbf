"""Whole sequences side by side, without a cache: the graph that embeddings are computed with.

Rule: between attentions tokens lie end to end, as in a paged step, so that the same lines build a family's layers in
both. Shapes: B sequences, T tokens of the longest, shorter ones padded at the end.
"""

import numpy as np
import openvino as ov
import openvino.opset15 as op

from haiga.models.geometry import Heads
from haiga.models.graph import FURTHEST, Graph, Node, Reach, constant
from haiga.models.weights import Weights

_NEVER = float(np.finfo(np.float32).min)


class DenseGraph(Graph):
    """input_ids [B, T], lengths [B]; `real` [B, T] is 1.0 for tokens and 0.0 for padding.

    causal: a token sees itself and what comes before it; otherwise all of its sequence.
    """

    def __init__(self, weights: Weights, causal: bool) -> None:
        super().__init__(weights)
        self._causal = causal
        padded = self._input("input_ids", [-1, -1], ov.Type.i64)
        self.lengths = self._input("lengths", [-1], ov.Type.i64)
        self._size = op.shape_of(padded)
        zero = constant(0, np.int64)
        width = op.gather(self._size, constant(1, np.int64), zero)
        self._places = op.range(zero, width, constant(1, np.int64), "i64")  # [T]
        flat = constant([-1], np.int64)
        self.ids = op.reshape(padded, flat, False)
        self.positions = op.reshape(op.broadcast(self._places, self._size), flat, False)
        within = op.less(self._places, op.unsqueeze(self.lengths, constant(1, np.int64)))
        self.real = op.convert(within, np.float32)

    def by_sequence(self, x: Node) -> Node:
        """[B * T, n] to [B, T, n]."""
        shape = op.concat([self._size, constant([-1], np.int64)], 0)
        return op.reshape(x, shape, False)

    def attend(self, layer: int, q: Node, k: Node, v: Node, reach: Reach) -> Node:
        """Attention within each sequence."""
        heads = reach.heads
        query = self._by_head(q, heads.query, heads.size)
        key = self._repeat(self._by_head(k, heads.key_value, heads.size), heads)
        value = self._repeat(self._by_head(v, heads.key_value, heads.size), heads)
        mixed = op.scaled_dot_product_attention(query, key, value, self._mask(reach), constant(reach.scale, np.float32))
        turned = op.transpose(mixed, constant([0, 2, 1, 3], np.int64))
        return op.reshape(turned, constant([-1, heads.query * heads.size], np.int64), False)

    def _by_head(self, x: Node, count: int, size: int) -> Node:
        """[B * T, count * size] to [B, count, T, size]."""
        split = op.reshape(x, op.concat([self._size, constant([count, size], np.int64)], 0), False)
        return op.transpose(split, constant([0, 2, 1, 3], np.int64))

    def _repeat(self, x: Node, heads: Heads) -> Node:
        """Each of the shared heads [B, key_value, T, size] as often as queries share it: [B, query, T, size]."""
        shared = heads.query // heads.key_value
        return (
            x
            if shared == 1
            else op.gather(x, constant(np.arange(heads.query) // shared, np.int64), constant(1, np.int64))
        )

    def _mask(self, reach: Reach) -> Node:
        """Added to the scores: 0 where a token may look, [B, 1, 1, T] or [1, 1, T, T]."""
        if not self._causal:
            seen = op.greater(self.real, constant(0, np.float32))
            return self._scores(op.unsqueeze(seen, constant([1, 2], np.int64)))
        to, from_ = op.unsqueeze(self._places, constant(0, np.int64)), op.unsqueeze(self._places, constant(1, np.int64))
        seen = op.less_equal(to, from_)  # padding comes last, so that no token looks at it
        if reach.window:
            seen = op.logical_and(
                seen, op.less(op.subtract(from_, to), constant(min(reach.window, FURTHEST), np.int64))
            )
        if reach.chunk:
            size = constant(reach.chunk, np.int64)
            seen = op.logical_and(seen, op.equal(op.divide(from_, size), op.divide(to, size)))
        return self._scores(op.unsqueeze(seen, constant([0, 1], np.int64)))

    def _scores(self, seen: Node) -> Node:
        return op.select(seen, constant(0, np.float32), constant(_NEVER, np.float32))
