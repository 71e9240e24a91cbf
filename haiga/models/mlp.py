"""The layer's second half in every family: two products, one through an activation, and a third back.

Rule: also what one expert of a mixture is (models/moe.py).
"""

from dataclasses import dataclass

import openvino.opset15 as op

from haiga.models.fields import Fields
from haiga.models.graph import Graph, Node

ACTIVATIONS = ("silu", "gelu", "gelu_pytorch_tanh", "gelu_new")


@dataclass(frozen=True, slots=True)
class Gated:
    """activation(x gate) * (x up), times down. names: of gate, up and down; with two names the first is gate and up in
    one matrix."""

    hidden: int
    inner: int
    activation: str
    bias: bool = False
    names: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")


FUSED = ("gate_up_proj", "down_proj")


def gated(graph: Graph, part: Gated, at: str, x: Node) -> Node:
    """x [T, hidden] to [T, hidden]. `at`: what the tensors' names begin with."""
    *into, down = (at + name for name in part.names)
    if len(into) == 1:
        both = graph.linear(x, into[0], part.hidden, 2 * part.inner, part.bias)
        gate, up = graph.split(both, part.inner, part.inner)
    else:
        gate, up = (graph.linear(x, name, part.hidden, part.inner, part.bias) for name in into)
    return graph.linear(op.multiply(activate(gate, part.activation), up), down, part.inner, part.hidden, part.bias)


def activate(x: Node, name: str) -> Node:
    """x through one of ACTIVATIONS."""
    if name == "silu":
        return op.swish(x)
    return op.gelu(x, "erf" if name == "gelu" else "tanh")


def read_activation(config: Fields, name: str = "hidden_act", default: str = "silu") -> str:
    """The activation that field `name` gives. Raises Invalid for one that is not supported."""
    activation = config.text(name, default)
    if activation not in ACTIVATIONS:
        raise config.refuse(name, f"{activation!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    return activation
