"""OLMo 2 and 3: each half of a layer is normed after it, not before; queries and keys are normed as a whole.

Rule: as models/llama.py. OLMo 3 has windows on three layers of four, and a scaling holds for the rope of the others.
"""

from dataclasses import replace

import openvino.opset15 as op

from haiga.models.attention import Attention, attention, local_layers
from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry, read_windows
from haiga.models.graph import Graph, Node, Norm
from haiga.models.llama import read_attentions, read_mlp
from haiga.models.mlp import gated
from haiga.models.rope import plain_rope, read_rope

_THETA = 500_000.0


def read_olmo(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    geometry = read_geometry(config, architecture)
    norm, mlp = Norm(config.number("rms_norm_eps", 1e-5)), read_mlp(config, geometry)
    attentions = read_attentions(config, architecture, geometry, context)
    if architecture == "Olmo3ForCausalLM":
        attentions = _local(config, geometry, attentions, context)
    attentions = tuple(replace(each, norm=norm, whole=True) for each in attentions)

    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        mixed = attention(graph, attentions[number], at + "self_attn.", number, x)
        x = op.add(x, graph.norm(mixed, norm, at + "post_attention_layernorm", geometry.hidden))
        fed = gated(graph, mlp, at + "mlp.", x)
        return op.add(x, graph.norm(fed, norm, at + "post_feedforward_layernorm", geometry.hidden))

    return Decoder(geometry, layer, norm, read_tied(config), *local_layers(attentions))


def _local(
    config: Fields, geometry: Geometry, attentions: tuple[Attention, ...], context: int
) -> tuple[Attention, ...]:
    size, context = geometry.heads.size, context or geometry.context
    whole = read_rope(config, size, context, _THETA, kind="full_attention")
    local = plain_rope(config, size, _THETA, "sliding_attention")
    windows = read_windows(config, geometry.layers, every=4)
    return tuple(
        replace(each, window=window, rope=local if window else whole)
        for each, window in zip(attentions, windows, strict=True)
    )
