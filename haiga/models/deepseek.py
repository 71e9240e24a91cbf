"""DeepSeek-V2-Lite: keys and values made from a narrow latent state, and a mixture of experts beside shared ones.

Rule: the paged operation keeps whole heads, so that the latent state is widened before it is cached: right, but with
the cache of an ordinary model (docs/models.md). Within a head the turned numbers come first, queries and keys alike.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import openvino.opset15 as op

from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, Heads, read_geometry
from haiga.models.graph import Graph, Node, Norm, Reach, constant
from haiga.models.llama import read_mlp, read_norm
from haiga.models.mlp import Gated, gated, read_activation
from haiga.models.moe import Routing, choose, mix
from haiga.models.rope import Rope, read_rope


@dataclass(frozen=True, slots=True)
class Latent:
    """latent: width of what keys and values are made from. turned, plain: numbers of a head with and without
    positions; value: of a head's values. narrow: width of what queries are made from, 0 where they come straight."""

    geometry: Geometry
    norm: Norm
    rope: Rope
    scale: float
    latent: int
    turned: int
    plain: int
    value: int
    narrow: int
    bias: bool


@dataclass(frozen=True, slots=True)
class Mixture:
    """dense: how many first layers have no experts; factor: what shares are multiplied by."""

    dense: int
    experts: int
    chosen: int
    factor: float
    expert: Gated
    shared: Gated


def read_deepseek(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    shape = _read_attention(config, read_geometry(config, architecture), context)
    part, hidden = _read_mixture(config, shape.geometry.hidden), shape.geometry.hidden
    mlp = read_mlp(config, shape.geometry)

    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        normed = graph.norm(x, shape.norm, at + "input_layernorm", hidden)
        x = op.add(x, _attention(graph, shape, at + "self_attn.", number, normed))
        normed = graph.norm(x, shape.norm, at + "post_attention_layernorm", hidden)
        if number < part.dense:
            return op.add(x, gated(graph, mlp, at + "mlp.", normed))
        return op.add(x, _experts(graph, part, at + "mlp.", normed))

    return Decoder(shape.geometry, layer, shape.norm, read_tied(config))


def _attention(graph: Graph, shape: Latent, at: str, number: int, x: Node) -> Node:
    heads, width = shape.geometry.heads, shape.geometry.heads.query * shape.geometry.heads.size
    q = graph.split_heads(_queries(graph, shape, at, x), heads.query, heads.size)
    q_plain, q_turned = graph.split(q, shape.plain, shape.turned)
    q = op.concat([_turn(graph, shape, q_turned, heads.query), q_plain], -1)
    k, v = _keys_and_values(graph, shape, at, x)
    q, k, v = (graph.join_heads(each, width) for each in (q, k, v))
    mixed = graph.attend(number, q, k, v, Reach(heads, shape.scale))
    values, _ = graph.split(graph.split_heads(mixed, heads.query, heads.size), shape.value, heads.size - shape.value)
    wide = heads.query * shape.value
    return graph.linear(graph.join_heads(values, wide), at + "o_proj", wide, shape.geometry.hidden, shape.bias)


def _queries(graph: Graph, shape: Latent, at: str, x: Node) -> Node:
    hidden, width = shape.geometry.hidden, shape.geometry.heads.query * shape.geometry.heads.size
    if not shape.narrow:
        return graph.linear(x, at + "q_proj", hidden, width)
    narrow = graph.linear(x, at + "q_a_proj", hidden, shape.narrow, shape.bias)
    normed = graph.norm(narrow, shape.norm, at + "q_a_layernorm", shape.narrow)
    return graph.linear(normed, at + "q_b_proj", shape.narrow, width)


def _keys_and_values(graph: Graph, shape: Latent, at: str, x: Node) -> tuple[Node, Node]:
    """All heads' keys and values [T, count, 1, size], values filled up with zeros to the size of keys."""
    count, size = shape.geometry.heads.query, shape.geometry.heads.size
    hidden, both = shape.geometry.hidden, shape.latent + shape.turned
    latent, turned = graph.split(
        graph.linear(x, at + "kv_a_proj_with_mqa", hidden, both, shape.bias), shape.latent, shape.turned
    )
    shared = _turn(graph, shape, graph.split_heads(turned, 1, shape.turned), 1)
    normed = graph.norm(latent, shape.norm, at + "kv_a_layernorm", shape.latent)
    each = shape.plain + shape.value
    wide = graph.linear(normed, at + "kv_b_proj", shape.latent, count * each)
    plain, value = graph.split(graph.split_heads(wide, count, each), shape.plain, shape.value)
    keys = op.concat([op.tile(shared, constant([1, count, 1, 1], np.int64)), plain], -1)
    nothing = constant([0, 0, 0, 0], np.int64)
    return keys, op.pad(value, nothing, constant([0, 0, 0, size - shape.value], np.int64), "constant")


def _turn(graph: Graph, shape: Latent, x: Node, count: int) -> Node:
    return graph.rotate(graph.unpair(x, count, shape.turned, shape.turned), shape.rope, shape.turned)


def _experts(graph: Graph, part: Mixture, at: str, x: Node) -> Node:
    scores = op.softmax(graph.router(x, at + "gate", part.expert.hidden, part.experts), 1)
    best = choose(scores, part.chosen)
    routing = Routing(best.chosen, graph.scaled(best.shares, part.factor))
    mixed = mix(
        x,
        routing,
        part.chosen,
        part.experts,
        lambda number, rows: gated(graph, part.expert, f"{at}experts.{number}.", rows),
    )
    return op.add(mixed, gated(graph, part.shared, at + "shared_experts.", x))


def _read_attention(config: Fields, geometry: Geometry, context: int) -> Latent:
    turned, plain = config.integer("qk_rope_head_dim", 64), config.integer("qk_nope_head_dim", 128)
    value, query = config.integer("v_head_dim", 128), geometry.heads.query
    if value > turned + plain or turned % 2:
        raise config.refuse("v_head_dim", f"({value}) is more than a key has ({turned + plain}), or that is odd")
    return Latent(
        geometry=replace(geometry, heads=Heads(query, query, turned + plain)),
        norm=read_norm(config),
        rope=read_rope(config, turned, context or geometry.context),
        scale=(turned + plain) ** -0.5 * _sharpening(config),
        latent=config.integer("kv_lora_rank", 512),
        turned=turned,
        plain=plain,
        value=value,
        narrow=0 if config.get("q_lora_rank") is None else config.integer("q_lora_rank"),
        bias=config.flag("attention_bias", False),
    )


def _sharpening(config: Fields) -> float:
    """What a yarn that was trained with `mscale_all_dim` multiplies scores by."""
    fields = config.object("rope_parameters") or config.object("rope_scaling") or Fields(config.source, {})
    weight, factor = fields.number("mscale_all_dim", 0.0), fields.number("factor", 1.0)
    return (0.1 * weight * math.log(factor) + 1.0) ** 2 if weight and factor > 1 else 1.0


def _read_mixture(config: Fields, hidden: int) -> Mixture:
    if config.text("topk_method", "greedy") != "greedy":
        raise config.refuse("topk_method", f"{config['topk_method']!r} is not supported; supported: greedy")
    activation, inner = read_activation(config), config.integer("moe_intermediate_size")
    experts, chosen = config.integer("n_routed_experts"), config.integer("num_experts_per_tok")
    if chosen > experts:
        raise config.refuse("num_experts_per_tok", f"({chosen}) is more than n_routed_experts ({experts})")
    return Mixture(
        dense=config.integer("first_k_dense_replace", 0, least=0),
        experts=experts,
        chosen=chosen,
        factor=config.number("routed_scaling_factor", 1.0),
        expert=Gated(hidden, inner, activation),
        shared=Gated(hidden, inner * config.integer("n_shared_experts", 2), activation),
    )
