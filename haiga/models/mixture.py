"""Llama's layers with a mixture of experts in the second half: Mixtral, Qwen2-MoE, Qwen3-MoE.

Rule: what the members differ in is a field of `Mixture`; how experts are computed is in models/moe.py.
"""

from dataclasses import dataclass

import openvino.opset15 as op

from haiga.models.attention import local_layers
from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import read_geometry
from haiga.models.graph import Graph, Node
from haiga.models.llama import normed_before, read_attentions, read_mlp, read_norm
from haiga.models.mlp import Gated, gated, read_activation
from haiga.models.moe import choose_likeliest, mix


@dataclass(frozen=True, slots=True)
class Mixture:
    """at: what its tensors are called after the layer's name. share_out: shares are brought to a sum of 1. shared: what
    every token goes through besides, with a gate of its own; sparse: per layer, whether it has experts at all."""

    at: str
    experts: int
    chosen: int
    expert: Gated
    share_out: bool
    shared: Gated | None
    sparse: tuple[bool, ...]


def read_mixture(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json of any member, to be loaded for `context` tokens (0: its own). Raises Invalid naming the
    field."""
    geometry, norm = read_geometry(config, architecture), read_norm(config)
    part = _read(config, architecture, geometry.hidden, geometry.layers)
    attentions = read_attentions(config, architecture, geometry, context)
    mlp = None if all(part.sparse) else read_mlp(config, geometry)

    def feed(graph: Graph, at: str, number: int, x: Node) -> Node:
        if mlp is not None and not part.sparse[number]:
            return gated(graph, mlp, at + "mlp.", x)
        return _experts(graph, part, at + part.at, x)

    layer = normed_before(norm, attentions, feed)
    return Decoder(geometry, layer, norm, read_tied(config), *local_layers(attentions))


def _experts(graph: Graph, part: Mixture, at: str, x: Node) -> Node:
    logits = graph.router(x, at + "gate", part.expert.hidden, part.experts)
    routing = choose_likeliest(logits, part.chosen, part.share_out)
    mixed = mix(
        x,
        routing,
        part.chosen,
        part.experts,
        lambda number, rows: gated(graph, part.expert, f"{at}experts.{number}.", rows),
    )
    if part.shared is None:
        return mixed
    opened = op.sigmoid(graph.router(x, at + "shared_expert_gate", part.expert.hidden, 1))
    return op.add(mixed, op.multiply(gated(graph, part.shared, at + "shared_expert.", x), opened))


def _read(config: Fields, architecture: str, hidden: int, layers: int) -> Mixture:
    activation = read_activation(config)
    if architecture == "MixtralForCausalLM":
        expert = Gated(hidden, config.integer("intermediate_size"), activation, names=("w1", "w3", "w2"))
        experts, chosen = read_counts(config, 8, 2)
        return Mixture("block_sparse_moe.", experts, chosen, expert, True, None, (True,) * layers)
    experts, chosen = read_counts(config, 128 if architecture.startswith("Qwen3") else 60, 8)
    expert = Gated(hidden, config.integer("moe_intermediate_size"), activation)
    shared = None
    if architecture == "Qwen2MoeForCausalLM":
        shared = Gated(hidden, config.integer("shared_expert_intermediate_size"), activation)
    step, dense = config.integer("decoder_sparse_step", 1), config.sequence("mlp_only_layers") or []
    sparse = tuple((layer + 1) % step == 0 and layer not in dense for layer in range(layers))
    return Mixture("mlp.", experts, chosen, expert, config.flag("norm_topk_prob", False), shared, sparse)


def read_counts(config: Fields, experts: int, chosen: int) -> tuple[int, int]:
    """How many experts there are and how many of them a token has. Raises Invalid naming the field."""
    name = "num_experts" if "num_experts" in config else "num_local_experts"
    count, wanted = config.integer(name, experts), config.integer("num_experts_per_tok", chosen)
    if wanted > count:
        raise config.refuse("num_experts_per_tok", f"({wanted}) is more than {name} ({count})")
    return count, wanted
