"""Phi-3 and Phi-4: Llama's layers with queries, keys and values in one matrix, and gate and up in another.

Rule: as models/llama.py. The rope may turn a part of each head alone.
"""

from dataclasses import replace

from haiga.models.attention import local_layers
from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import read_geometry
from haiga.models.graph import Graph, Node
from haiga.models.llama import normed_before, read_attentions, read_mlp, read_norm
from haiga.models.mlp import FUSED, gated


def read_phi(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    geometry, norm = read_geometry(config, architecture), read_norm(config)
    mlp = replace(read_mlp(config, geometry), names=FUSED)
    attentions = read_attentions(config, architecture, geometry, context)

    def feed(graph: Graph, at: str, _: int, x: Node) -> Node:
        return gated(graph, mlp, at + "mlp.", x)

    layer = normed_before(norm, tuple(replace(each, fused=True) for each in attentions), feed)
    return Decoder(geometry, layer, norm, read_tied(config), *local_layers(attentions))
