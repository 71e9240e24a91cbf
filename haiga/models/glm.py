"""GLM-4: rope on the first half of each head, neighbours paired; gate and up in one matrix; and, from the year 2025 on
(`Glm4ForCausalLM`), each half of a layer normed before and after.

Rule: as models/llama.py.
"""

from dataclasses import replace

import openvino.opset15 as op

from haiga.models.attention import Attention, attention
from haiga.models.decoder import Decoder, Layer, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry
from haiga.models.graph import Graph, Node, Norm
from haiga.models.llama import normed_before, read_mlp
from haiga.models.mlp import FUSED, Gated, gated
from haiga.models.rope import read_rope


def read_glm(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    geometry = read_geometry(config, architecture)
    norm = Norm(config.number("rms_norm_eps", 1.5625e-7))
    mlp = replace(read_mlp(config, geometry), names=FUSED)
    attentions = (_attention(config, geometry, context),) * geometry.layers

    def feed(graph: Graph, at: str, _: int, x: Node) -> Node:
        return gated(graph, mlp, at + "mlp.", x)

    around = architecture == "Glm4ForCausalLM"
    layer = _normed_around(norm, attentions, mlp) if around else normed_before(norm, attentions, feed)
    return Decoder(geometry, layer, norm, read_tied(config))


def _normed_around(norm: Norm, attentions: tuple[Attention, ...], mlp: Gated) -> Layer:
    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        hidden = mlp.hidden
        normed = graph.norm(x, norm, at + "input_layernorm", hidden)
        mixed = attention(graph, attentions[number], at + "self_attn.", number, normed)
        x = op.add(x, graph.norm(mixed, norm, at + "post_self_attn_layernorm", hidden))
        fed = gated(graph, mlp, at + "mlp.", graph.norm(x, norm, at + "post_attention_layernorm", hidden))
        return op.add(x, graph.norm(fed, norm, at + "post_mlp_layernorm", hidden))

    return layer


def _attention(config: Fields, geometry: Geometry, context: int) -> Attention:
    heads = geometry.heads
    return Attention(
        heads=heads,
        hidden=geometry.hidden,
        scale=heads.size**-0.5,
        rope=read_rope(config, heads.size, context or geometry.context, turns=0.5),
        paired=True,
        qkv_bias=config.flag("attention_bias", True),
    )
