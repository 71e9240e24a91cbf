"""GPT-OSS: a mixture of experts in every layer, windows on every second one, and a sink in every head.

Rule: the experts' gate and up are interleaved in one matrix, both with biases, and held within a limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import openvino.opset15 as op

from haiga.models.attention import Attention, local_layers
from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry, read_windows
from haiga.models.graph import Graph, Node, constant
from haiga.models.llama import normed_before, read_norm
from haiga.models.mixture import read_counts
from haiga.models.moe import choose_likeliest, mix
from haiga.models.rope import read_rope


@dataclass(frozen=True, slots=True)
class Experts:
    """limit: how far gate and up may go; slope: of the gate's sigmoid."""

    count: int
    chosen: int
    hidden: int
    inner: int
    limit: float
    slope: float


def read_gpt_oss(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    geometry, norm = read_geometry(config, architecture), read_norm(config)
    part = Experts(
        *read_counts(config, 128, 4),
        geometry.hidden,
        config.integer("intermediate_size"),
        config.number("swiglu_limit", 7.0),
        config.number("swiglu_alpha", 1.702),
    )

    def feed(graph: Graph, at: str, _: int, x: Node) -> Node:
        return _experts(graph, part, at + "mlp.", x)

    attentions = _attentions(config, geometry, context)
    layer = normed_before(norm, attentions, feed)
    return Decoder(geometry, layer, norm, read_tied(config), *local_layers(attentions))


def _attentions(config: Fields, geometry: Geometry, context: int) -> tuple[Attention, ...]:
    heads, biased = geometry.heads, config.flag("attention_bias", True)
    rope = read_rope(config, heads.size, context or geometry.context, 150_000.0)
    return tuple(
        Attention(
            heads=heads,
            hidden=geometry.hidden,
            scale=heads.size**-0.5,
            rope=rope,
            window=window,
            qkv_bias=biased,
            output_bias=biased,
            sinks=True,
        )
        for window in read_windows(config, geometry.layers, every=2, default=128)
    )


def _experts(graph: Graph, part: Experts, at: str, x: Node) -> Node:
    logits = graph.router(x, at + "router", part.hidden, part.count, bias=True)
    routing = choose_likeliest(logits, part.chosen, share_out=True)
    return mix(
        x, routing, part.chosen, part.count, lambda number, rows: _expert(graph, part, f"{at}experts.{number}.", rows)
    )


def _expert(graph: Graph, part: Experts, at: str, x: Node) -> Node:
    """(up + 1) * gate * sigmoid(slope * gate), and back."""
    gate, up = _gate_and_up(graph, part, at, x)
    gate = op.minimum(gate, constant(part.limit, np.float32))
    up = op.clamp(up, -part.limit, part.limit)
    opened = op.multiply(gate, op.sigmoid(graph.scaled(gate, part.slope)))
    fed = op.multiply(op.add(up, constant(1, np.float32)), opened)
    return graph.linear(fed, at + "down_proj", part.inner, part.hidden, bias=True)


def _gate_and_up(graph: Graph, part: Experts, at: str, x: Node) -> Iterable[Node]:
    """Interleaved in one matrix, as published, or two matrices, as in GGUF files."""
    if at + "gate_proj.weight" in graph.weights.checkpoint:
        return (graph.linear(x, at + name, part.hidden, part.inner, bias=True) for name in ("gate_proj", "up_proj"))
    both = graph.linear(x, at + "gate_up_proj", part.hidden, 2 * part.inner, bias=True)
    pairs = op.split(op.reshape(both, constant([-1, part.inner, 2], np.int64), False), constant(2, np.int64), 2)
    return (op.squeeze(half, constant([2], np.int64)) for half in pairs.outputs())
