"""The Llama family: Llama 2 and 3, Mistral, Qwen2, Qwen3, SmolLM2 and SmolLM3, TinyLlama.

Rule: one decoder, and everything the members differ in is a field of its parts, read from config.json here.
"""

from collections.abc import Callable

import openvino.opset15 as op

from haiga.models.attention import Attention, attention, local_layers
from haiga.models.decoder import Decoder, Layer, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry
from haiga.models.graph import Graph, Node, Norm
from haiga.models.mlp import Gated, gated, read_activation
from haiga.models.rope import read_rope

_THETA = {"SmolLM3ForCausalLM": 2_000_000.0, "MixtralForCausalLM": 1_000_000.0}
_ALL_WINDOWED = ("MistralForCausalLM", "MixtralForCausalLM", "Phi3ForCausalLM")
_NEVER_WINDOWED = ("LlamaForCausalLM", "GraniteForCausalLM")
_NORMED = ("Qwen3ForCausalLM", "Qwen3MoeForCausalLM")
_BIASED = ("Qwen2ForCausalLM", "Qwen2MoeForCausalLM")

Feed = Callable[[Graph, str, int, Node], Node]


def read_llama(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json of any member, to be loaded for `context` tokens (0: its own).

    Raises Invalid naming the field.
    """
    geometry, norm = read_geometry(config, architecture), read_norm(config)
    mlp, attentions = read_mlp(config, geometry), read_attentions(config, architecture, geometry, context)

    def feed(graph: Graph, at: str, _: int, x: Node) -> Node:
        return gated(graph, mlp, at + "mlp.", x)

    layer = normed_before(norm, attentions, feed)
    return Decoder(geometry, layer, norm, read_tied(config), *local_layers(attentions))


def normed_before(norm: Norm, attentions: tuple[Attention, ...], feed: Feed, residual: float = 1.0) -> Layer:
    """The layer that most families have: each half takes x normed, and is added to it, times `residual`."""

    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        part = attentions[number]
        normed = graph.norm(x, norm, at + "input_layernorm", part.hidden)
        mixed = attention(graph, part, at + "self_attn.", number, normed)
        x = op.add(x, graph.scaled(mixed, residual))
        normed = graph.norm(x, norm, at + "post_attention_layernorm", part.hidden)
        return op.add(x, graph.scaled(feed(graph, at, number, normed), residual))

    return layer


def read_norm(config: Fields) -> Norm:
    """The norm that all layers have."""
    return Norm(config.number("rms_norm_eps", 1e-6))


def read_mlp(config: Fields, geometry: Geometry) -> Gated:
    """The second half of a layer without experts."""
    inner, bias = config.integer("intermediate_size"), config.flag("mlp_bias", False)
    return Gated(geometry.hidden, inner, read_activation(config), bias)


def read_attentions(config: Fields, architecture: str, geometry: Geometry, context: int) -> tuple[Attention, ...]:
    """The attention of every layer. Raises Invalid naming the field."""
    heads = geometry.heads
    theta = _THETA.get(architecture, 10_000.0)
    rope = read_rope(config, heads.size, context or geometry.context, theta)
    bias, biased = config.flag("attention_bias", False), architecture in _BIASED
    return tuple(
        Attention(
            heads=heads,
            hidden=geometry.hidden,
            scale=heads.size**-0.5,
            rope=rope if roped else None,
            window=window,
            qkv_bias=config.flag("qkv_bias", True) if biased else bias,
            output_bias=not biased and bias,
            norm=read_norm(config) if architecture in _NORMED else None,
        )
        for roped, window in zip(
            _roped(config, architecture, geometry.layers), _windows(config, architecture, geometry.layers), strict=True
        )
    )


def _windows(config: Fields, architecture: str, layers: int) -> tuple[int, ...]:
    """Mistral's window holds for every layer; Qwen's and SmolLM3's where use_sliding_window and layer_types say."""
    if config.get("sliding_window") is None or architecture in _NEVER_WINDOWED:
        return (0,) * layers
    if architecture in _ALL_WINDOWED:
        return (config.integer("sliding_window"),) * layers
    if not config.flag("use_sliding_window", False):
        return (0,) * layers
    window = config.integer("sliding_window")
    kinds = config.sequence("layer_types", layers)
    if kinds is not None:
        return tuple(window if kind == "sliding_attention" else 0 for kind in kinds[:layers])
    if architecture == "SmolLM3ForCausalLM":
        return tuple(0 if roped else window for roped in _roped(config, architecture, layers))
    first = config.integer("max_window_layers", 28, least=0)
    return tuple(window if layer >= first else 0 for layer in range(layers))


def _roped(config: Fields, architecture: str, layers: int) -> tuple[bool, ...]:
    """SmolLM3 leaves every fourth layer without positions; no_rope_layers holds 1 where there IS rope."""
    if architecture != "SmolLM3ForCausalLM":
        return (True,) * layers
    listed = config.sequence("no_rope_layers", layers)
    if listed is not None:
        return tuple(bool(entry) for entry in listed[:layers])
    interval = config.integer("no_rope_layer_interval", 4)
    return tuple((layer + 1) % interval != 0 for layer in range(layers))
