"""The operations a model is made of, and a decoder's paged attention: what every family shares.

Rule: a family's file says what is connected to what; how it is expressed so that the CPU plugin runs its fast
kernels (fused norm, rotary embedding and compressed matrix product) is said here, once.
Shapes: T tokens of all sequences of a step laid end to end, S sequences, R sampled positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import ArrayLike
from openvino.op import _PagedAttentionExtension as PagedAttention

from haiga.models.adapters.products import NONE, Adapted, Products
from haiga.models.geometry import Heads
from haiga.models.rope import Rope
from haiga.models.weights import Stored, Weights

Node: TypeAlias = Any  # openvino's node factories are untyped
FURTHEST = (1 << 31) - 1  # the paged operation counts positions in 32 bits
_TYPES = {
    "f32": ov.Type.f32,
    "bf16": ov.Type.bf16,
    "f16": ov.Type.f16,
    "i8": ov.Type.i8,
    "u8": ov.Type.u8,
    "i4": ov.Type.i4,
    "u4": ov.Type.u4,
    "f4": ov.Type.f4e2m1,
}


@dataclass(frozen=True, slots=True)
class Norm:
    """How a family norms: by the root of the mean square, or `centred` by mean and variance, without a bias either way.
    beside: what is added to the weight."""

    eps: float
    beside: float = 0.0
    centred: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """What the queries of a layer look at. window: how many last positions a token sees, itself included (0: all of
    them); chunk: it sees its chunk of so many positions alone (0: all). scale: what the products are multiplied by.
    sinks: name of a vector [query] with one more score per head, which takes its share of the attention and gives
    nothing."""

    heads: Heads
    scale: float
    window: int = 0
    chunk: int = 0
    sinks: str | None = None


def constant(value: ArrayLike, dtype: type) -> Node:
    """A constant of numpy type `dtype`."""
    return op.constant(np.asarray(value, dtype))


class Graph:
    """A model under construction: weights are put into it as they are asked for. `ids`, `positions` [T] are its
    tokens and their places; what attends to what is a subclass's."""

    ids: Node
    positions: Node
    _products: Products | None = None  # of adapters, where there are such

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._inputs: list[Node] = []
        self._angles: dict[int, tuple[Rope, tuple[Node, Node]]] = {}  # by identity; the rope is held to keep it so

    def embed(self, name: str, vocabulary: int, hidden: int) -> Node:
        """Rows of table `name` for the step's tokens: [T, hidden]."""
        return op.gather(matrix(self.weights.table(name, vocabulary, hidden)), self.ids, constant(0, np.int64))

    def linear(self, x: Node, name: str, inner: int, outer: int, bias: bool = False) -> Node:
        """x [.., inner] times `name`.weight transposed, plus `name`.bias: [.., outer]."""
        product = op.matmul(x, matrix(self.weights.matrix(name + ".weight", outer, inner)), False, True)
        y = op.add(product, self.vector(name + ".bias", outer)) if bias else product
        return self._products.add(y, x, name, inner, outer) if self._products else y

    def router(self, x: Node, name: str, hidden: int, experts: int, bias: bool = False) -> Node:
        """As `linear`, in f32 whatever the packing: it decides between experts, and is small."""
        table = constant(self.weights.vector(name + ".weight", experts, hidden), np.float32)
        product = op.matmul(x, table, False, True)
        return op.add(product, self.vector(name + ".bias", experts)) if bias else product

    def head(self, x: Node, name: str, hidden: int, vocabulary: int) -> Node:
        """Logits [R, vocabulary] of hidden states [R, hidden] by table `name`."""
        return op.matmul(x, matrix(self.weights.table(name, vocabulary, hidden)), False, True)

    def vector(self, name: str, size: int) -> Node:
        """A bias or a norm's weight, f32 whatever the packing."""
        return constant(self.weights.vector(name, size), np.float32)

    def norm(self, x: Node, norm: Norm, name: str, *shape: int) -> Node:
        """x normed over the last axis, times `name`.weight; with a shape [count, size] each head of x [T, count, 1,
        size] has a weight of its own."""
        normed = self.centred(x, norm.eps) if norm.centred else self.unit(x, norm.eps)
        weight = self.weights.vector(name + ".weight", *shape) + np.float32(norm.beside)
        return op.multiply(
            normed, constant(weight.reshape(*shape[:-1], *[1] * (len(shape) - 1), shape[-1]), np.float32)
        )

    def unit(self, x: Node, eps: float) -> Node:
        """x / sqrt(mean(x^2) + eps) over the last axis (arXiv 1910.07467)."""
        square = op.power(x, constant(2, np.float32))
        mean = op.reduce_mean(square, constant([-1], np.int64), True)
        inverse = op.divide(constant(1, np.float32), op.sqrt(op.add(mean, constant(eps, np.float32))))
        return op.multiply(x, inverse)

    def centred(self, x: Node, eps: float) -> Node:
        """(x - mean) / sqrt(variance + eps) over the last axis (arXiv 1607.06450)."""
        return op.mvn(x, constant([-1], np.int64), True, eps, "inside_sqrt")

    def layer_norm(self, x: Node, name: str, size: int, eps: float) -> Node:
        """x centred, times `name`.weight, plus `name`.bias."""
        scaled = op.multiply(self.centred(x, eps), self.vector(name + ".weight", size))
        return op.add(scaled, self.vector(name + ".bias", size))

    def scaled(self, x: Node, factor: float) -> Node:
        """x times a number that a config gives."""
        return x if factor == 1 else op.multiply(x, constant(factor, np.float32))

    def capped(self, x: Node, cap: float) -> Node:
        """cap * tanh(x / cap): x held softly between -cap and cap; 0 leaves it as it is."""
        return self.scaled(op.tanh(self.scaled(x, 1 / cap)), cap) if cap else x

    def split(self, x: Node, *widths: int) -> list[Node]:
        """x cut along its last axis into pieces of these widths."""
        pieces = op.variadic_split(x, constant(-1, np.int64), constant(widths, np.int64))
        return list(pieces.outputs())

    def split_heads(self, x: Node, count: int, size: int) -> Node:
        """[T, count * size] to [T, count, 1, size]."""
        return op.reshape(x, constant([-1, count, 1, size], np.int64), False)

    def join_heads(self, x: Node, width: int) -> Node:
        """[T, count, 1, size] to [T, width], count * size of them."""
        return op.reshape(x, constant([-1, width], np.int64), False)

    def angles(self, rope: Rope) -> tuple[Node, Node]:
        """Cosine and sine of the step's positions, [T, 1, 1, size]; made once for all layers that share `rope`."""
        if id(rope) not in self._angles:
            self._angles[id(rope)] = rope, self._turned(rope)
        return self._angles[id(rope)][1]

    def _turned(self, rope: Rope) -> tuple[Node, Node]:
        angle = op.multiply(self._placed(rope), constant(rope.frequencies, np.float32))
        both = op.concat([angle, angle], -1)
        return self.scaled(op.cos(both), rope.scale), self.scaled(op.sin(both), rope.scale)

    def _placed(self, rope: Rope) -> Node:
        """The step's positions [T, 1, 1, 1], or one for each of the rope's frequencies [T, 1, 1, size / 2]."""
        positions = op.convert(self.positions, np.float32)
        if rope.axes is None or len(self.positions.output(0).get_partial_shape()) == 1:
            return op.reshape(positions, constant([-1, 1, 1, 1], np.int64), False)
        each = op.gather(positions, constant(rope.axes, np.int64), constant(0, np.int64))
        turned = op.transpose(each, constant([1, 0], np.int64))
        return op.reshape(turned, constant([-1, 1, 1, len(rope.axes)], np.int64), False)

    def rotate(self, x: Node, rope: Rope, size: int) -> Node:
        """Rotary embedding (arXiv 2104.09864), halves paired as transformers does: x [T, count, 1, size]. A rope for
        fewer numbers than a head has turns the first ones only.

        The plugin fuses it only in this very form: rank 4, split along axis 3 (not -1), concatenated along -1.
        """
        turning = rope.turning
        if turning < size:
            first, rest = self.split(x, turning, size - turning)
            return op.concat([self.rotate(first, rope, turning), rest], -1)
        cos, sin = self.angles(rope)
        halves = op.variadic_split(x, constant(3, np.int64), constant([size // 2, size // 2], np.int64))
        turned = op.concat([op.multiply(halves.output(1), constant(-1, np.float32)), halves.output(0)], -1)
        return op.add(op.multiply(x, cos), op.multiply(turned, sin))

    def unpair(self, x: Node, count: int, size: int, turning: int) -> Node:
        """Heads [T, count, 1, size] whose first `turning` numbers are paired with their neighbours, reordered so that
        halves are paired. Queries and keys both: their products stay what they are."""
        if turning < size:
            first, rest = self.split(x, turning, size - turning)
            return op.concat([self.unpair(first, count, turning, turning), rest], -1)
        pairs = op.reshape(x, constant([-1, count, size // 2, 2], np.int64), False)
        halves = op.transpose(pairs, constant([0, 1, 3, 2], np.int64))
        return op.reshape(halves, constant([-1, count, 1, size], np.int64), False)

    def attend(self, layer: int, q: Node, k: Node, v: Node, reach: Reach) -> Node:
        """Attention of q [T, query * size] over keys and values [T, key_value * size]: [T, query * size]."""
        raise NotImplementedError

    def picture(self, x: Node) -> Node:
        """Embeddings [T, hidden] with pictures' features in their places, where the graph takes pictures."""
        return x

    def picture_again(self, x: Node, turn: int) -> Node:
        """States [T, hidden] with the `turn`-th part of pictures' features added in their places."""
        return x

    def model(self, output: Node, called: str, name: str) -> ov.Model:
        """The finished model; its one output is `output`, under the name `called`."""
        output.output(0).get_tensor().set_names({called})
        return ov.Model([op.result(output)], self._inputs, name)

    def _input(self, name: str, shape: list[int], dtype: ov.Type) -> Node:
        return self._parameter(name, op.parameter(shape, dtype, name=name))

    def _parameter(self, name: str, node: Node) -> Node:
        node.output(0).get_tensor().set_names({name})
        self._inputs.append(node)
        return node


@dataclass(frozen=True, slots=True)
class Tables:
    """Where the keys and values of a step's sequences are: past [S] tokens already cached; begins [S + 1] each
    sequence's first token; blocks: block tables end to end; block_begins [S + 1]; longest: the largest context."""

    past: Node
    begins: Node
    blocks: Node
    block_begins: Node
    longest: Node


class PagedGraph(Graph):
    """A decoder of text, over a pool of KV blocks, or two: the layers that are `local` have tables of their own, in
    which a sequence begins where those layers begin to see.

    ids, positions [T]; sampled [R] indices into T. The local tables' names begin with `local_`; where attention keeps
    to chunks, a sequence that crosses from one to the next stands there as two.

    features: (hidden, parts) of a decoder that sees: P of the step's tokens stand for parts of pictures, at
    `feature_places` [P] in T, and `features` [P, parts * hidden] are theirs. turns: positions are [3, T], in time, rows
    and columns. mutual: tokens of one kind other than 0 that follow each other see each other: `token_type_ids` [T].
    """

    def __init__(
        self,
        weights: Weights,
        local: Sequence[bool] = (),
        features: tuple[int, int] | None = None,
        turns: bool = False,
        mutual: bool = False,
        adapted: Adapted = NONE,
    ) -> None:
        super().__init__(weights)
        if adapted.layers:
            self._products = Products(self._input, adapted)
        self._kinds = self._input("token_type_ids", [-1], ov.Type.i32) if mutual else None
        self._features: list[Node] = []
        if features is not None:
            hidden, parts = features
            self._places = self._input("feature_places", [-1], ov.Type.i64)
            self._features = self.split(self._input("features", [-1, parts * hidden], ov.Type.f32), *[hidden] * parts)
        self.ids = self._input("input_ids", [-1], ov.Type.i64)
        self.positions = self._input("position_ids", [3, -1] if turns else [-1], ov.Type.i64)
        self._tables = {"": self._make_tables("")}
        self._local = local
        if any(local):
            self._tables["local_"] = self._make_tables("local_")
        self.sampled = self._input("sampled_tokens_indices", [-1], ov.Type.i64)

    def _make_tables(self, kind: str) -> Tables:
        return Tables(
            past=self._input(kind + "past_lens", [-1], ov.Type.i32),
            begins=self._input(kind + "subsequence_begins", [-1], ov.Type.i32),
            blocks=self._input(kind + "block_indices", [-1], ov.Type.i32),
            block_begins=self._input(kind + "block_indices_begins", [-1], ov.Type.i32),
            longest=self._input(kind + "max_context_len", [], ov.Type.i32),
        )

    def attend(self, layer: int, q: Node, k: Node, v: Node, reach: Reach) -> Node:
        """Causal attention over the cached and the new keys and values."""
        heads, kind = reach.heads, "local_" if self._local and self._local[layer] else ""
        tables = self._tables[kind]
        caches = [self._cache(f"{kind}{name}_cache.{layer}") for name in ("key", "value")]
        indices, numbers = constant(np.zeros(0), np.int32), constant(np.zeros(0), np.float32)
        zero, octets = constant(0, np.int32), constant(np.zeros(0), np.uint8)
        sinks = constant(np.zeros((0, 0, 0, 0)), np.float32)
        if reach.sinks is not None:
            sinks = constant(self.weights.vector(reach.sinks, heads.query).reshape(1, -1, 1, 1), np.float32)
        operands = [q, k, v, *caches, tables.past, tables.begins, tables.blocks, tables.block_begins]
        operands += [constant(reach.scale, np.float32), constant(min(reach.window, FURTHEST), np.int32)]
        operands += [numbers, tables.longest]  # alibi slopes, longest context
        operands += [indices, indices, indices, numbers]  # score aggregation, cache rotation: unused
        operands += [numbers, zero, zero, sinks, zero]  # sparse attention, eviction: unused
        kinds = indices if self._kinds is None else self._kinds
        operands += [indices, indices, indices, kinds, octets, indices]  # diversity, token types, updates
        node = PagedAttention([each if isinstance(each, ov.Output) else each.output(0) for each in operands])
        info = node.get_rt_info()  # the plugin sizes its caches by these
        info["num_k_heads"] = info["num_v_heads"] = heads.key_value
        info["k_head_size"] = info["v_head_size"] = heads.size
        return node.output(0)  # the others are scores

    def picture(self, x: Node) -> Node:
        """The step's features in place of embeddings."""
        if not self._features:
            return x
        return op.scatter_update(x, self._places, self._features[0], constant(0, np.int64))

    def picture_again(self, x: Node, turn: int) -> Node:
        """The step's features, their `turn`-th part, added."""
        axis = constant(0, np.int64)
        added = op.add(op.gather(x, self._places, axis), self._features[turn])
        return op.scatter_update(x, self._places, added, axis)

    def sample(self, x: Node) -> Node:
        """The sampled positions alone: [T, n] to [R, n]."""
        return op.gather(x, self.sampled, constant(0, np.int64))

    def _cache(self, name: str) -> Node:
        node = op.parameter(ov.PartialShape.dynamic(4), ov.Type.f32, name=name)
        node.set_element_type(ov.Type.dynamic)  # the plugin chooses precision and layout
        return self._parameter(name, node)


def matrix(stored: Stored) -> Node:
    """A weight over the memory it lies in, which must outlive the model.

    Integers become constant -> convert (-> subtract) -> multiply (-> reshape), the form that the plugin
    multiplies with without unpacking the whole first.
    """
    held = op.constant(ov.Tensor(stored.bits, list(stored.shape), _TYPES[stored.kind]))
    if stored.kind == "f32":
        return held
    values = op.convert(held, np.float32)
    if stored.scales is None:
        values.get_rt_info()["decompression_0"] = ""  # the plugin's mark: keep 16 bits, else it unfolds all to f32
        return values
    if stored.zeros is not None:
        values = op.subtract(values, constant(stored.zeros, np.float32))
    product = op.multiply(values, constant(stored.scales, np.float32))
    if len(stored.shape) == 2:
        return product
    outer, groups, size = stored.shape
    return op.reshape(product, constant([outer, groups * size], np.int64), False)
