"""Llama 4 (Scout, Maverick): a mixture of experts beside a shared one, and attention that is local on three layers of
four.

Rule: local layers turn queries and keys, norm them, and see no further back than the start of their chunk; the others
have no positions, see everything, and sharpen their queries as the text grows (arXiv 2501.19399).
"""

from dataclasses import dataclass, replace

import numpy as np
import openvino.opset15 as op

from haiga.core.ports import Horizon
from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry
from haiga.models.graph import Graph, Node, Norm, Reach, constant
from haiga.models.mixture import read_counts
from haiga.models.mlp import FUSED, Gated, gated, read_activation
from haiga.models.moe import Routing, choose, mix
from haiga.models.plugin import BLOCK
from haiga.models.rope import Rope, read_rope

_LOCAL_EVERY = 4  # of so many layers the last is not local


@dataclass(frozen=True, slots=True)
class Llama4:
    """local: per layer, whether it keeps to chunks of `chunk` tokens; sparse: whether it has experts. floor, slope:
    every `floor` tokens the queries of the other layers grow by a logarithm times `slope`; slope 0: never."""

    geometry: Geometry
    norm: Norm
    rope: Rope
    bias: bool
    qk_norm: bool
    local: tuple[bool, ...]
    chunk: int
    floor: float
    slope: float
    sparse: tuple[bool, ...]
    experts: int
    chosen: int
    shared: Gated
    dense: Gated


def read_llama4(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    shape = _read(config, architecture, context)
    hidden = shape.geometry.hidden

    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        normed = graph.norm(x, shape.norm, at + "input_layernorm", hidden)
        x = op.add(x, _attention(graph, shape, at + "self_attn.", number, normed))
        normed = graph.norm(x, shape.norm, at + "post_attention_layernorm", hidden)
        if shape.sparse[number]:
            return op.add(x, _experts(graph, shape, at + "feed_forward.", normed))
        return op.add(x, gated(graph, shape.dense, at + "feed_forward.", normed))

    horizon = Horizon(shape.chunk, chunked=True) if any(shape.local) else None
    return Decoder(shape.geometry, layer, shape.norm, read_tied(config), horizon, shape.local)


def _attention(graph: Graph, shape: Llama4, at: str, number: int, x: Node) -> Node:
    heads, hidden, local = shape.geometry.heads, shape.geometry.hidden, shape.local[number]
    wide, narrow = heads.query * heads.size, heads.key_value * heads.size

    def project(name: str, count: int) -> Node:
        mixed = graph.linear(x, at + name, hidden, count * heads.size, shape.bias)
        split = graph.split_heads(mixed, count, heads.size)
        if not local:
            return split
        turned = graph.rotate(graph.unpair(split, count, heads.size, heads.size), shape.rope, heads.size)
        return graph.unit(turned, shape.norm.eps) if shape.qk_norm else turned

    q, k = project("q_proj", heads.query), project("k_proj", heads.key_value)
    v = graph.linear(x, at + "v_proj", hidden, narrow, shape.bias)
    if not local and shape.slope:
        q = op.multiply(q, _temperature(graph, shape))
    reach = Reach(heads, heads.size**-0.5, chunk=shape.chunk if local else 0)
    mixed = graph.attend(number, graph.join_heads(q, wide), graph.join_heads(k, narrow), v, reach)
    return graph.linear(mixed, at + "o_proj", wide, hidden, shape.bias)


def _temperature(graph: Graph, shape: Llama4) -> Node:
    """slope * log(1 + floor((position + 1) / floor)) + 1, [T, 1, 1, 1]."""
    places = op.reshape(op.convert(graph.positions, np.float32), constant([-1, 1, 1, 1], np.int64), False)
    one = constant(1, np.float32)
    steps = op.floor(op.divide(op.add(places, one), constant(shape.floor, np.float32)))
    return op.add(graph.scaled(op.log(op.add(steps, one)), shape.slope), one)


def _experts(graph: Graph, shape: Llama4, at: str, x: Node) -> Node:
    """Each expert is given the token times the sigmoid of its score; the shared one sees it as it is."""
    best = choose(graph.router(x, at + "router", shape.geometry.hidden, shape.experts), shape.chosen)
    routing = Routing(best.chosen, op.sigmoid(best.shares))
    fused = f"{at}experts.0.gate_up_proj.weight" in graph.weights.checkpoint  # as published; not in GGUF files
    part = replace(shape.shared, names=FUSED) if fused else shape.shared
    mixed = mix(
        x,
        routing,
        shape.chosen,
        shape.experts,
        lambda number, rows: gated(graph, part, f"{at}experts.{number}.", rows),
        weigh_input=True,
    )
    return op.add(gated(graph, shape.shared, at + "shared_expert.", x), mixed)


def _read(config: Fields, architecture: str, context: int) -> Llama4:
    geometry = read_geometry(config, architecture)
    hidden, layers, activation = geometry.hidden, geometry.layers, read_activation(config)
    inner = config.integer("intermediate_size", 8192)
    experts, chosen = read_counts(config, 16, 1)
    tuned = config.flag("attn_temperature_tuning", True)
    return Llama4(
        geometry=geometry,
        norm=Norm(config.number("rms_norm_eps", 1e-5)),
        rope=read_rope(config, geometry.heads.size, context or geometry.context, 500_000.0),
        bias=config.flag("attention_bias", False),
        qk_norm=config.flag("use_qk_norm", True),
        local=_local(config, layers),
        chunk=_chunk(config),
        floor=config.number("floor_scale", 8192),
        slope=config.number("attn_scale", 0.1) if tuned else 0.0,
        sparse=_sparse(config, layers),
        experts=experts,
        chosen=chosen,
        shared=Gated(hidden, inner, activation),
        dense=Gated(hidden, config.integer("intermediate_size_mlp", 16_384), activation),
    )


def _chunk(config: Fields) -> int:
    chunk = config.integer("attention_chunk_size", 8192)
    if chunk % BLOCK:
        raise config.refuse("attention_chunk_size", f"({chunk}) is no multiple of {BLOCK}, the tokens of a KV block")
    return chunk


def _local(config: Fields, layers: int) -> tuple[bool, ...]:
    """no_rope_layers holds 1 where there IS rope; an empty list is none."""
    listed = config.sequence("no_rope_layers") and config.sequence("no_rope_layers", layers)
    if listed:
        return tuple(bool(entry) for entry in listed[:layers])
    every = config.integer("no_rope_layer_interval", _LOCAL_EVERY)
    return tuple((layer + 1) % every != 0 for layer in range(layers))


def _sparse(config: Fields, layers: int) -> tuple[bool, ...]:
    listed = config.sequence("moe_layers")
    if listed is not None:
        return tuple(layer in listed for layer in range(layers))
    every = config.integer("interleave_moe_layer_step", 1)
    return tuple((layer + 1) % every == 0 for layer in range(layers))
