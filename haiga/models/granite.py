"""Granite: Llama's layers with a multiplier wherever numbers meet: embeddings, attention, residuals, logits.

Rule: as models/llama.py.
"""

from dataclasses import replace

from haiga.models.decoder import Decoder, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import read_geometry
from haiga.models.graph import Graph, Node
from haiga.models.llama import normed_before, read_attentions, read_mlp, read_norm
from haiga.models.mlp import gated


def read_granite(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json, to be loaded for `context` tokens (0: its own). Raises Invalid naming the field."""
    geometry, norm = read_geometry(config, architecture), read_norm(config)
    mlp = read_mlp(config, geometry)
    scale = config.number("attention_multiplier", 1.0)
    attentions = read_attentions(config, architecture, geometry, context)

    def feed(graph: Graph, at: str, _: int, x: Node) -> Node:
        return gated(graph, mlp, at + "mlp.", x)

    scaled = tuple(replace(each, scale=scale) for each in attentions)
    divisor = config.number("logits_scaling", 1.0)
    if not divisor:
        raise config.refuse("logits_scaling", "is 0, and logits are divided by it")
    return Decoder(
        geometry=geometry,
        layer=normed_before(norm, scaled, feed, config.number("residual_multiplier", 1.0)),
        norm=norm,
        tied=read_tied(config),
        embed_scale=config.number("embedding_multiplier", 1.0),
        logit_scale=1 / divisor,
    )
