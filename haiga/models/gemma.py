"""Gemma, Gemma 2 and Gemma 3: norms whose weight is one plus what is stored, scaled embeddings, soft caps, windows.

Rule: what the members differ in is read here. Gemma 2's cap on the scores of attention is left out: the paged operation
has none (docs/models.md says what that costs). The cap on the logits is there.
"""

import openvino.opset15 as op

from haiga.models.attention import Attention, attention, local_layers
from haiga.models.decoder import Decoder, Layer, read_tied
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry, read_windows
from haiga.models.graph import Graph, Node, Norm
from haiga.models.llama import normed_before
from haiga.models.mlp import Gated, gated, read_activation
from haiga.models.rope import Rope, plain_rope, read_rope

_EVERY = {"Gemma2ForCausalLM": 2, "Gemma3ForCausalLM": 6, "Gemma3ForConditionalGeneration": 6}
_LOCAL_THETA = 10_000.0


def read_gemma(config: Fields, architecture: str, context: int) -> Decoder:
    """Read config.json of any member, to be loaded for `context` tokens (0: its own). Raises Invalid naming the
    field."""
    geometry, first = read_geometry(config, architecture), architecture == "GemmaForCausalLM"
    norm = Norm(config.number("rms_norm_eps", 1e-6), beside=1.0)
    name = "hidden_activation" if config.get("hidden_activation") is not None else "hidden_act"
    activation = "gelu_pytorch_tanh" if first else read_activation(config, name, "gelu_pytorch_tanh")
    mlp = Gated(geometry.hidden, config.integer("intermediate_size"), activation)
    attentions = _attentions(config, architecture, geometry, context, norm)

    def feed(graph: Graph, at: str, _: int, x: Node) -> Node:
        return gated(graph, mlp, at + "mlp.", x)

    horizon, local = local_layers(attentions)
    return Decoder(
        geometry=geometry,
        layer=normed_before(norm, attentions, feed) if first else _normed_around(norm, attentions, mlp),
        norm=norm,
        tied=read_tied(config),
        horizon=horizon,
        local=local,
        embed_scale=geometry.hidden**0.5,
        logit_cap=0.0 if config.get("final_logit_softcapping") is None else config.number("final_logit_softcapping"),
    )


def _normed_around(norm: Norm, attentions: tuple[Attention, ...], mlp: Gated) -> Layer:
    """Each half takes x normed, and is normed before it is added to it."""

    def layer(graph: Graph, at: str, number: int, x: Node) -> Node:
        part, hidden = attentions[number], mlp.hidden
        mixed = attention(graph, part, at + "self_attn.", number, graph.norm(x, norm, at + "input_layernorm", hidden))
        x = op.add(x, graph.norm(mixed, norm, at + "post_attention_layernorm", hidden))
        fed = gated(graph, mlp, at + "mlp.", graph.norm(x, norm, at + "pre_feedforward_layernorm", hidden))
        return op.add(x, graph.norm(fed, norm, at + "post_feedforward_layernorm", hidden))

    return layer


def _attentions(
    config: Fields, architecture: str, geometry: Geometry, context: int, norm: Norm
) -> tuple[Attention, ...]:
    heads, third = geometry.heads, architecture.startswith("Gemma3")
    local, whole = _ropes(config, architecture, heads.size, context or geometry.context)
    scalar = config.number("query_pre_attn_scalar", 256 if architecture in _EVERY else heads.size)
    if scalar <= 0:
        raise config.refuse("query_pre_attn_scalar", f"is {scalar}, and scores are divided by its root")
    windows = (0,) * geometry.layers
    if architecture in _EVERY:
        windows = read_windows(config, geometry.layers, _EVERY[architecture])
    return tuple(
        Attention(
            heads=heads,
            hidden=geometry.hidden,
            scale=scalar**-0.5,
            rope=local if window else whole,
            window=window,
            qkv_bias=config.flag("attention_bias", False),
            output_bias=config.flag("attention_bias", False),
            norm=norm if third else None,
        )
        for window in windows
    )


def _ropes(config: Fields, architecture: str, size: int, context: int) -> tuple[Rope, Rope]:
    """Of layers with a window and of those without: Gemma 3 has two bases, and scales the latter alone."""
    if not architecture.startswith("Gemma3"):
        rope = read_rope(config, size, context)
        return rope, rope
    local = Fields(config.source, {**config, "rope_theta": config.get("rope_local_base_freq")})
    whole = read_rope(config, size, context, 1_000_000.0, kind="full_attention")
    return plain_rope(local, size, _LOCAL_THETA, "sliding_attention"), whole
