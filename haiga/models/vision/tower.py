"""The transformer that most towers are: patches to states, layers that see each other whole.

Rule: what CLIP and SigLIP have in common is said here; a family that does something else says so in its own file.
Shapes: N patches of one view; papers 2103.00020 (CLIP), 2303.15343 (SigLIP).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset15 as op

from haiga.core.errors import Invalid
from haiga.models.fields import Fields
from haiga.models.geometry import Heads
from haiga.models.graph import Graph, Node, Reach, constant
from haiga.models.weights import Tensors

ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "gelu_new", "quick_gelu", "silu")
_QUICK = 1.702


class TowerGraph(Graph):
    """The graph from one view to its features."""

    def input(self, name: str, shape: list[int], dtype: ov.Type = ov.Type.f32) -> Node:
        """What a view gives under `name`."""
        return self._input(name, shape, dtype)

    def attend(self, layer: int, q: Node, k: Node, v: Node, reach: Reach) -> Node:
        """Attention of every patch over all: q, k, v [N, heads * size] to the same."""
        heads = reach.heads
        q, k, v = (self._by_head(each, heads) for each in (q, k, v))
        return self.mixed(q, k, v, heads, reach.scale)

    def mixed(self, q: Node, k: Node, v: Node, heads: Heads, scale: float, mask: Node | None = None) -> Node:
        """As `attend`, of [B, heads, N, size]; `mask` [B, 1, 1, N] is added to the scores."""
        mask = constant(0, np.float32) if mask is None else mask
        mixed = op.scaled_dot_product_attention(q, k, v, mask, constant(scale, np.float32))
        turned = op.transpose(mixed, constant([0, 2, 1, 3], np.int64))
        return op.reshape(turned, constant([-1, heads.query * heads.size], np.int64), False)

    def _by_head(self, x: Node, heads: Heads) -> Node:
        split = op.reshape(x, constant([1, -1, heads.query, heads.size], np.int64), False)
        return op.transpose(split, constant([0, 2, 1, 3], np.int64))

    def patched(self, x: Node, name: str, outer: int, shape: tuple[int, ...], bias: bool) -> Node:
        """Patches x [N, product of shape] times the kernel `name`.weight [outer, *shape]: [N, outer]."""
        kernel = self.weights.vector(name + ".weight", outer, *shape).reshape(outer, -1)
        product = op.matmul(x, constant(kernel, np.float32), False, True)
        return op.add(product, self.vector(name + ".bias", outer)) if bias else product

    def rows(self, name: str, count: int, width: int) -> Node:
        """A table of learned vectors [count, width]."""
        return constant(self.weights.vector(name, count, width), np.float32)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Sizes of a tower: width of a state, of its feed-forward, how many layers and heads; image and patch in pixels."""

    hidden: int
    inner: int
    layers: int
    heads: int
    eps: float
    activation: str
    image: int
    patch: int

    @property
    def side(self) -> int:
        """Patches along one side of an image."""
        return self.image // self.patch


def read_encoder(config: Fields, **default: Any) -> Encoder:
    """The tower's sizes from vision_config, with its family's defaults. Raises Invalid naming the field."""

    def integer(name: str) -> int:
        return config.integer(name, int(default[name]) if name in default else None)

    activation = config.text("hidden_act", str(default.get("hidden_act", "gelu")))
    if activation not in ACTIVATIONS:
        raise config.refuse("hidden_act", f"{activation!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    encoder = Encoder(
        hidden=integer("hidden_size"),
        inner=integer("intermediate_size"),
        layers=integer("num_hidden_layers"),
        heads=integer("num_attention_heads"),
        eps=config.number("layer_norm_eps", float(default.get("layer_norm_eps", 1e-6))),
        activation=activation,
        image=integer("image_size"),
        patch=integer("patch_size"),
    )
    if encoder.hidden % encoder.heads:
        raise config.refuse("num_attention_heads", f"({encoder.heads}) does not divide hidden_size ({encoder.hidden})")
    if encoder.image < encoder.patch:
        raise config.refuse("image_size", f"({encoder.image}) is smaller than patch_size ({encoder.patch})")
    return encoder


def encode(graph: TowerGraph, part: Encoder, at: str, x: Node, first: int = 0, until: int | None = None) -> Node:
    """States x [N, hidden] through the layers from `first` to `until` (None: all)."""
    for number in range(first, part.layers if until is None else until):
        x = _layer(graph, part, f"{at}layers.{number}.", number, x)
    return x


def _layer(graph: TowerGraph, part: Encoder, at: str, number: int, x: Node) -> Node:
    hidden, size = part.hidden, part.hidden // part.heads
    normed = graph.layer_norm(x, at + "layer_norm1", hidden, part.eps)
    q, k, v = (graph.linear(normed, f"{at}self_attn.{name}_proj", hidden, hidden, True) for name in "qkv")
    mixed = graph.attend(number, q, k, v, Reach(Heads(part.heads, part.heads, size), size**-0.5))
    x = op.add(x, graph.linear(mixed, at + "self_attn.out_proj", hidden, hidden, True))
    normed = graph.layer_norm(x, at + "layer_norm2", hidden, part.eps)
    wide = activate(graph.linear(normed, at + "mlp.fc1", hidden, part.inner, True), part.activation)
    return op.add(x, graph.linear(wide, at + "mlp.fc2", part.inner, hidden, True))


@dataclass(frozen=True, slots=True)
class Kind:
    """What CLIP and SigLIP differ in: whether a learned vector stands before the patches, with a norm behind both;
    whether the kernel of patches has a bias."""

    classed: bool
    biased: bool


CLIP, SIGLIP = Kind(classed=True, biased=False), Kind(classed=False, biased=True)


def embed(graph: TowerGraph, part: Encoder, kind: Kind, at: str) -> Node:
    """The patches of a view as the first layer's states [N, hidden], the class's before them."""
    x = graph.input("patches", [-1, 3 * part.patch**2])
    x = graph.patched(x, at + "embeddings.patch_embedding", part.hidden, (3, part.patch, part.patch), kind.biased)
    if kind.classed:
        first = graph.weights.vector(at + "embeddings.class_embedding", part.hidden).reshape(1, -1)
        x = op.concat([constant(first, np.float32), x], 0)
    table = graph.rows(at + "embeddings.position_embedding.weight", part.side**2 + kind.classed, part.hidden)
    x = op.add(x, table)
    return graph.layer_norm(x, at + "pre_layrnorm", part.hidden, part.eps) if kind.classed else x


def activate(x: Node, name: str) -> Node:
    """x through one of ACTIVATIONS."""
    if name == "quick_gelu":
        return op.swish(x, constant(_QUICK, np.float32))
    if name == "silu":
        return op.swish(x)
    return op.gelu(x, "erf" if name == "gelu" else "tanh")


def find_prefix(tensors: Tensors, ending: str) -> str:
    """What stands before `ending` in the one tensor's name that ends so. Raises Invalid when there is none."""
    found = [name for name in tensors if name == ending or name.endswith("." + ending)]
    if len(found) != 1:
        raise Invalid(f"{tensors.directory}: tensor {ending} is missing")
    return found[0].removesuffix(ending)
