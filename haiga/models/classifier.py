"""The moderation classifier: a folder's weights as a graph for OpenVINO.

Rule: what `trainers/moderation/network.py` trains, operation for operation; a test holds the two against each other.
Word vectors are means of their pieces' rows (arXiv 1607.04606); then dilated convolutions, layers of attention,
pooling by attention and by maximum. The vectors are looked up outside the graph (`WordVectors`), because most words of
a text were met before. A graph is made for one text of one length, because the plugin prepares its kernels anew
whenever a shape changes. Shapes: T words, H hidden, C categories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import NDArray
from safetensors.numpy import load_file

from haiga.core.errors import Invalid
from haiga.core.moderation import CATEGORIES
from haiga.models.fields import Fields, read_fields
from haiga.models.graph import Node, constant
from haiga.text.grams import Grams

Array: TypeAlias = NDArray[np.float32]
KNOWN = 50_000  # words whose vectors are remembered
SIZES = ("rows", "grams", "width", "hidden", "heads", "window", "layers", "wider")
AWAY = 1e4  # taken from what is looked at where there is no word


@dataclass(frozen=True, slots=True)
class Classifier:
    """What config.json says: rows and width of the table, pieces of a word, hidden size, attention heads, words that
    are seen at once, layers of attention and how many times as wide their inner layer is, each convolution's dilation;
    `slopes` and `offsets` calibrate the logits (Platt 1999); `thresholds` flag a category."""

    rows: int
    grams: int
    width: int
    hidden: int
    heads: int
    window: int
    layers: int
    wider: int
    dilations: tuple[int, ...]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    thresholds: Mapping[str, float]


def read_classifier(directory: Path) -> Classifier:
    """Read config.json. Raises Invalid naming the field."""
    config = read_fields(directory / "config.json")
    if list(config.get("categories", ())) != list(CATEGORIES):
        raise config.refuse("categories", "are not those of this version")
    sizes = {name: config.integer(name) for name in SIZES}
    if sizes["hidden"] % sizes["heads"]:
        raise config.refuse("heads", f"do not divide hidden = {sizes['hidden']}")
    return Classifier(
        **sizes,
        dilations=tuple(int(d) for d in _numbers(config, "dilations")),
        slopes=_numbers(config, "slopes", len(CATEGORIES)),
        offsets=_numbers(config, "offsets", len(CATEGORIES)),
        thresholds=dict(zip(CATEGORIES, _numbers(config, "thresholds", len(CATEGORIES)), strict=True)),
    )


class WordVectors:
    """What words mean: the mean of the rows of each word's pieces. Those of words of late are remembered."""

    def __init__(self, weights: "ClassifierWeights", shape: Classifier) -> None:
        """Raises Invalid naming the tensor that is missing or has another shape."""
        self._table = weights.take("table.weight", shape.rows, shape.width, dtype=np.float16)
        self._grams = Grams(shape.rows, shape.grams)
        self._places: dict[str, int] = {}
        self._vectors = np.zeros((KNOWN, shape.width), np.float32)

    def of(self, words: Sequence[str]) -> Array:
        """[len(words), width]; at most KNOWN words."""
        if len(self._places) + len(words) > KNOWN:
            self._places.clear()
        return self._vectors[[self._place(word) for word in words]]

    def _place(self, word: str) -> int:
        place = self._places.get(word)
        if place is None:
            place = self._places[word] = len(self._places)
            rows = self._grams.of_word(word)
            self._vectors[place] = self._table[rows[rows != 0]].astype(np.float32).mean(0)
        return place


def build_classifier(weights: "ClassifierWeights", shape: Classifier, length: int) -> ov.Model:
    """Words' vectors [1, T, width], and 1 where there is a word and 0 behind the last [1, T, 1], to calibrated
    probabilities [1, C] and features [1, H]. T is `length`.

    Raises Invalid naming the tensor that is missing or has another shape.
    """
    vectors = op.parameter([1, length, shape.width], ov.Type.f32, name="vectors")
    there = op.parameter([1, length, 1], ov.Type.f32, name="there")
    x = op.multiply(op.relu(weights.linear(vectors, "enter", shape.width, shape.hidden)), there)
    for n, dilation in enumerate(shape.dilations):
        normed = op.multiply(weights.norm(x, f"norms.{n}", shape.hidden), there)
        x = op.add(x, op.multiply(op.relu(_convolve(normed, weights, n, dilation, shape.hidden)), there))
    for n in range(shape.layers):
        x = op.add(x, _attend(x, there, weights, n, shape))
        x = op.add(x, _widen(x, weights, n, shape))
    x = weights.norm(x, "norm", shape.hidden)
    features = op.relu(weights.linear(_pool(x, there, weights, shape), "inner", 2 * shape.hidden, shape.hidden))
    logits = weights.linear(features, "outer", shape.hidden, len(CATEGORIES))
    steep = op.add(op.multiply(logits, constant(shape.slopes, np.float32)), constant(shape.offsets, np.float32))
    return ov.Model([op.result(op.sigmoid(steep)), op.result(features)], [vectors, there], "classifier")


def _convolve(x: Node, weights: "ClassifierWeights", n: int, dilation: int, hidden: int) -> Node:
    """[B, T, H]: of each place and those `dilation` before and after it; a bias besides."""
    beside = weights.take(f"convolutions.{n}.weight", hidden, 3 * hidden).reshape(hidden, 3, hidden)
    kernel = op.constant(np.ascontiguousarray(beside.transpose(0, 2, 1)))
    turned = op.transpose(x, constant([0, 2, 1], np.int64))
    out = op.convolution(turned, kernel, [1], [dilation], [dilation], [dilation])
    return op.add(op.transpose(out, constant([0, 2, 1], np.int64)), weights.vector(f"convolutions.{n}.bias", hidden))


def _attend(x: Node, there: Node, weights: "ClassifierWeights", n: int, shape: Classifier) -> Node:
    """What words look for in each other, [B, T, H]."""
    size, name = shape.hidden // shape.heads, f"layers.{n}"
    normed = weights.norm(x, f"{name}.norm", shape.hidden)
    parts = op.reshape(
        weights.linear(normed, f"{name}.attend", shape.hidden, 3 * shape.hidden), [0, 0, 3, shape.heads, size], True
    )
    turned = op.transpose(parts, constant([2, 0, 3, 1, 4], np.int64))
    q, k, v = (op.gather(turned, constant(part, np.int64), constant(0, np.int64)) for part in range(3))
    scores = op.multiply(op.matmul(q, k, False, True), constant(size**-0.5, np.float32))
    away = op.unsqueeze(op.transpose(_away(there), constant([0, 2, 1], np.int64)), constant(1, np.int64))
    mixed = op.matmul(op.softmax(op.add(scores, away), 3), v, False, False)
    joined = op.reshape(op.transpose(mixed, constant([0, 2, 1, 3], np.int64)), [0, 0, shape.hidden], True)
    return weights.linear(joined, f"{name}.mix", shape.hidden, shape.hidden)


def _widen(x: Node, weights: "ClassifierWeights", n: int, shape: Classifier) -> Node:
    """A layer's inner layer, [B, T, H]."""
    wide, name = shape.wider * shape.hidden, f"layers.{n}"
    up = weights.linear(weights.norm(x, f"{name}.next_norm", shape.hidden), f"{name}.up", shape.hidden, wide)
    return weights.linear(op.relu(up), f"{name}.down", wide, shape.hidden)


def _pool(x: Node, there: Node, weights: "ClassifierWeights", shape: Classifier) -> Node:
    """[B, 2 * H]: what is looked at, and what stands out."""
    share = op.softmax(op.add(weights.linear(x, "look", shape.hidden, 1), _away(there)), 1)
    seen = op.reduce_sum(op.multiply(share, x), constant([1], np.int64), False)
    return op.concat([seen, op.reduce_max(op.add(x, _away(there)), constant([1], np.int64), False)], 1)


def _away(there: Node) -> Node:
    return op.multiply(op.subtract(there, constant(1, np.float32)), constant(AWAY, np.float32))


class ClassifierWeights:
    """The tensors of a classifier's folder."""

    def __init__(self, directory: Path) -> None:
        """Raises Invalid when they cannot be read."""
        self._file = file = directory / "model.safetensors"
        try:
            self._tensors = load_file(file)
        except Exception as problem:  # the library's own type has no better base
            raise Invalid(f"{file}: {problem}") from problem

    def take(self, name: str, *shape: int, dtype: type = np.float32) -> Any:
        """Raises Invalid."""
        if name not in self._tensors:
            raise Invalid(f"{self._file}: tensor {name} is missing")
        if self._tensors[name].shape != shape:
            raise Invalid(f"{self._file}: tensor {name} has the shape {self._tensors[name].shape}, not {shape}")
        return self._tensors[name].astype(dtype)

    def vector(self, name: str, size: int) -> Node:
        return op.constant(self.take(name, size))

    def linear(self, x: Node, name: str, inner: int, outer: int) -> Node:
        product = op.matmul(x, op.constant(self.take(f"{name}.weight", outer, inner)), False, True)
        return op.add(product, self.vector(f"{name}.bias", outer))

    def norm(self, x: Node, name: str, size: int) -> Node:
        normed = op.mvn(x, constant([-1], np.int64), True, 1e-5, "inside_sqrt")
        return op.add(op.multiply(normed, self.vector(f"{name}.weight", size)), self.vector(f"{name}.bias", size))


def _numbers(config: Fields, name: str, count: int | None = None) -> tuple[float, ...]:
    values = config.get(name)
    if not isinstance(values, list) or not values or not all(isinstance(value, int | float) for value in values):
        raise config.refuse(name, "is not a list of numbers")
    if count is not None and len(values) != count:
        raise config.refuse(name, f"holds {len(values)} numbers, not {count}")
    return tuple(float(value) for value in values)
