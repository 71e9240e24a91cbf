"""Cohere's Command models: both halves of a layer side by side, from one norm that takes the mean away.

Rule: what Command-R (`Cohere`) and Command-R7B and A (`Cohere2`) differ in is read here: the latter have windows on
three layers of four, and positions on those alone.
"""

import openvino.opset15 as op

from haiga.models.attention import Attention, attention, local_layers
from haiga.models.decoder import Decoder
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry, read_windows
from haiga.models.graph import Graph, Node, Norm
from haiga.models.llama import read_mlp
from haiga.models.mlp import gated
from haiga.models.rope import read_rope


def read_cohere(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    geometry = read_geometry(config, architecture)
    norm, mlp = Norm(config.number("layer_norm_eps", 1e-5), centred=True), read_mlp(config, geometry)
    attentions = _attentions(config, architecture, geometry, context, norm)

    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        normed = graph.norm(x, norm, at + "input_layernorm", geometry.hidden)
        mixed = attention(graph, attentions[number], at + "self_attn.", number, normed)
        return op.add(op.add(x, mixed), gated(graph, mlp, at + "mlp.", normed))

    tied, scale = config.flag("tie_word_embeddings", True), config.number("logit_scale", 0.0625)
    return Decoder(geometry, layer, norm, tied, *local_layers(attentions), logit_scale=scale)


def _attentions(
    config: Fields, architecture: str, geometry: Geometry, context: int, norm: Norm
) -> tuple[Attention, ...]:
    heads, second = geometry.heads, architecture == "Cohere2ForCausalLM"
    rope = read_rope(config, heads.size, context or geometry.context, 10_000.0 if second else 500_000.0)
    windows = read_windows(config, geometry.layers, every=4) if second else (0,) * geometry.layers
    return tuple(
        Attention(
            heads=heads,
            hidden=geometry.hidden,
            scale=heads.size**-0.5,
            rope=rope if window or not second else None,
            paired=True,
            window=window,
            qkv_bias=config.flag("attention_bias", False),
            output_bias=config.flag("attention_bias", False),
            norm=norm if config.flag("use_qk_norm", False) else None,
        )
        for window in windows
    )
