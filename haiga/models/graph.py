"""The operations a decoder is made of, on OpenVINO's paged attention: what every family shares.

Rule: a family's file says what is connected to what; how it is expressed so that the CPU plugin runs its fast
kernels (fused norm, rotary embedding and compressed matrix product) is said here, once.
Shapes: T tokens of all sequences of a step laid end to end, S sequences, R sampled positions.
"""

from dataclasses import dataclass

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import ArrayLike
from openvino.op import _PagedAttentionExtension as PagedAttention

from haiga.core.errors import Invalid
from haiga.models.rope import Rope
from haiga.models.weights.checkpoint import Checkpoint, encode_bf16
from haiga.models.weights.packing import Packing, Quantized, pack_int4, pack_int8, store_int4

Value = ov.Output


@dataclass(frozen=True, slots=True)
class Heads:
    """The attention geometry: `query` heads share `key_value` heads of `size` numbers each."""

    query: int
    key_value: int
    size: int


def constant(value: ArrayLike, dtype: type) -> Value:
    """A constant of numpy type `dtype`."""
    return op.constant(np.asarray(value, dtype)).output(0)


class Graph:
    """A model under construction: the inputs of a paged step, and weights put into it as they are asked for.

    ids, positions [T]; past [S] tokens already cached; begins [S + 1] each sequence's first token; blocks: block
    tables end to end; block_begins [S + 1]; longest: the largest context; sampled [R] indices into T.
    """

    def __init__(self, checkpoint: Checkpoint, packing: Packing) -> None:
        self.checkpoint, self.packing = checkpoint, packing
        self._inputs: list[ov.Node] = []
        self.ids = self._input("input_ids", [-1], np.int64)
        self.positions = self._input("position_ids", [-1], np.int64)
        self.past = self._input("past_lens", [-1], np.int32)
        self.begins = self._input("subsequence_begins", [-1], np.int32)
        self.blocks = self._input("block_indices", [-1], np.int32)
        self.block_begins = self._input("block_indices_begins", [-1], np.int32)
        self.longest = self._input("max_context_len", [], np.int32)
        self.sampled = self._input("sampled_tokens_indices", [-1], np.int64)

    def embed(self, name: str, vocabulary: int, hidden: int) -> Value:
        """Rows of table `name` for the step's tokens: [T, hidden]."""
        table = self._table(name, (vocabulary, hidden))
        return op.gather(table, self.ids, constant(0, np.int64)).output(0)

    def linear(self, x: Value, name: str, inner: int, outer: int, bias: bool = False) -> Value:
        """x [.., inner] times `name`.weight transposed, plus `name`.bias: [.., outer]."""
        product = op.matmul(x, self._matrix(name + ".weight", (outer, inner)), False, True).output(0)
        return op.add(product, self.vector(name + ".bias", outer)).output(0) if bias else product

    def head(self, x: Value, name: str, hidden: int, vocabulary: int) -> Value:
        """Logits [R, vocabulary] of hidden states [R, hidden] by table `name`."""
        return op.matmul(x, self._table(name, (vocabulary, hidden)), False, True).output(0)

    def vector(self, name: str, size: int) -> Value:
        """A bias or a norm's weight, f32 whatever the packing."""
        return constant(self.checkpoint.read(name, (size,)), np.float32)

    def rms_norm(self, x: Value, name: str, size: int, eps: float) -> Value:
        """x / sqrt(mean(x^2) + eps) * weight over the last axis (arXiv 1910.07467)."""
        square = op.power(x, constant(2, np.float32))
        mean = op.reduce_mean(square, constant([-1], np.int64), True)
        inverse = op.divide(constant(1, np.float32), op.sqrt(op.add(mean, constant(eps, np.float32))))
        return op.multiply(op.multiply(x, inverse), self.vector(name, size)).output(0)

    def split_heads(self, x: Value, count: int, size: int) -> Value:
        """[T, count * size] to [T, count, 1, size]."""
        return op.reshape(x, constant([-1, count, 1, size], np.int64), False).output(0)

    def join_heads(self, x: Value, count: int, size: int) -> Value:
        """[T, count, 1, size] to [T, count * size]."""
        return op.reshape(x, constant([-1, count * size], np.int64), False).output(0)

    def angles(self, rope: Rope) -> tuple[Value, Value]:
        """Cosine and sine of the step's positions, [T, 1, 1, size]."""
        positions = op.reshape(op.convert(self.positions, np.float32), constant([-1, 1, 1, 1], np.int64), False)
        angle = op.multiply(positions, constant(rope.frequencies, np.float32))
        both = op.concat([angle, angle], -1)
        cos, sin = op.cos(both), op.sin(both)
        if rope.scale != 1:
            cos, sin = (op.multiply(each, constant(rope.scale, np.float32)) for each in (cos, sin))
        return cos.output(0), sin.output(0)

    def rotate(self, x: Value, angles: tuple[Value, Value], size: int) -> Value:
        """Rotary embedding (arXiv 2104.09864), halves paired as transformers does: x [T, count, 1, size]."""
        cos, sin = angles
        first, second = op.variadic_split(
            x, constant(-1, np.int64), constant([size // 2, size // 2], np.int64)
        ).outputs()
        turned = op.concat([op.multiply(second, constant(-1, np.float32)), first], -1)
        return op.add(op.multiply(x, cos), op.multiply(turned, sin)).output(0)

    def attend(self, layer: int, q: Value, k: Value, v: Value, heads: Heads, window: int = 0) -> Value:
        """Causal attention of q [T, query * size] over the cached and the new keys and values: [T, query * size].

        window: how many last positions a token sees, itself included; 0: all of them.
        """
        caches = [self._cache(f"key_cache.{layer}"), self._cache(f"value_cache.{layer}")]
        indices, numbers = constant(np.zeros(0), np.int32), constant(np.zeros(0), np.float32)
        zero, octets = constant(0, np.int32), constant(np.zeros(0), np.uint8)
        sinks = constant(np.zeros((0, 0, 0, 0)), np.float32)
        operands = [q, k, v, *caches, self.past, self.begins, self.blocks, self.block_begins]
        operands += [constant(heads.size**-0.5, np.float32), constant(window, np.int32)]
        operands += [numbers, self.longest]  # alibi slopes, longest context
        operands += [indices, indices, indices, numbers]  # score aggregation, cache rotation: unused
        operands += [numbers, zero, zero, sinks, zero]  # sparse attention, sinks, eviction: unused
        operands += [indices, indices, indices, indices, octets, indices]  # diversity, token types, updates: unused
        node = PagedAttention(operands)
        info = node.get_rt_info()  # the plugin sizes its caches by these
        info["num_k_heads"] = info["num_v_heads"] = heads.key_value
        info["k_head_size"] = info["v_head_size"] = heads.size
        return node.output(0)

    def sample(self, x: Value) -> Value:
        """The sampled positions alone: [T, n] to [R, n]."""
        return op.gather(x, self.sampled, constant(0, np.int64)).output(0)

    def model(self, logits: Value, name: str) -> ov.Model:
        """The finished model; its one output is `logits`."""
        logits.get_tensor().set_names({"logits"})
        return ov.Model([op.result(logits)], self._inputs, name)

    def _input(self, name: str, shape: list[int], dtype: type) -> Value:
        node = op.parameter(shape, dtype, name=name)
        node.output(0).get_tensor().set_names({name})
        self._inputs.append(node)
        return node.output(0)

    def _cache(self, name: str) -> Value:
        node = op.parameter(ov.PartialShape.dynamic(4), np.float32, name=name)
        node.set_element_type(ov.Type.dynamic)  # the plugin chooses precision and layout
        node.output(0).get_tensor().set_names({name})
        self._inputs.append(node)
        return node.output(0)

    def _matrix(self, name: str, shape: tuple[int, int]) -> Value:
        if self.packing in ("f32", "bf16"):
            return self._float(name, shape)
        values = self.checkpoint.read(name, shape)
        return quantized(pack_int4(values) if self.packing == "int4" else pack_int8(values), shape)

    def _table(self, name: str, shape: tuple[int, int]) -> Value:
        if self.packing in ("f32", "bf16"):
            return self._float(name, shape)
        return quantized(pack_int8(self.checkpoint.read(name, shape)), shape)

    def _float(self, name: str, shape: tuple[int, int]) -> Value:
        values = self.checkpoint.read(name, shape)
        if self.packing == "f32":
            return constant(values, np.float32)
        bits = ov.Tensor(encode_bf16(values), list(shape), ov.Type.bf16)
        return op.convert(op.constant(bits), np.float32).output(0)


def quantized(packed: Quantized, shape: tuple[int, int]) -> Value:
    """The matrix as constant -> convert -> multiply (-> reshape), the form that the plugin multiplies without
    unpacking it first."""
    rows, groups, size = packed.values.shape
    full = list(shape) if groups == 1 else [rows, groups, size]
    if packed.bits == 4:
        stored = op.constant(ov.Tensor(store_int4(packed.values), full, ov.Type.i4))
    else:
        stored = op.constant(packed.values.reshape(full))
    scales = packed.scales.reshape([rows, 1] if groups == 1 else [rows, groups, 1])
    product = op.multiply(op.convert(stored, np.float32), constant(scales, np.float32))
    return product.output(0) if groups == 1 else op.reshape(product, constant(shape, np.int64), False).output(0)


def missing_head(checkpoint: Checkpoint) -> Invalid:
    """The error for an untied model without a head."""
    return Invalid(f"{checkpoint.directory}: tensor lm_head.weight is missing and tie_word_embeddings is false")
