"""The Llama family: Llama 2 and 3, Mistral, Qwen2, Qwen3, SmolLM2 and SmolLM3, TinyLlama.

Rule: one decoder, and everything the members differ in is a field of `Llama`, read from config.json by `read_llama`.
"""

from dataclasses import dataclass

import openvino as ov
import openvino.opset15 as op

from haiga.core.errors import Invalid
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, read_geometry
from haiga.models.graph import Graph, Node, PagedGraph
from haiga.models.rope import Rope, read_rope
from haiga.models.weights import Tensors, Weights

_THETA = {"SmolLM3ForCausalLM": 2_000_000.0}
_ACTIVATIONS = ("silu", "gelu", "gelu_pytorch_tanh", "gelu_new")


@dataclass(frozen=True, slots=True)
class Llama:
    """What a member of the family is. windows: per layer, how many positions a token sees (0: all);
    roped: per layer, whether queries and keys are rotated."""

    geometry: Geometry
    inner: int
    eps: float
    activation: str
    rope: Rope
    windows: tuple[int, ...]
    roped: tuple[bool, ...]
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    qk_norm: bool
    tied: bool | None


def read_llama(config: Fields, architecture: str, context: int) -> Llama:
    """Read config.json of any member, to be loaded for `context` tokens (0: its own).

    Raises Invalid naming the field.
    """
    geometry = read_geometry(config, architecture)
    activation = config.text("hidden_act", "silu")
    if activation not in _ACTIVATIONS:
        raise config.refuse("hidden_act", f"{activation!r} is not supported; supported: {', '.join(_ACTIVATIONS)}")
    theta = _THETA.get(architecture, 10_000.0)
    bias, qwen2 = config.flag("attention_bias", False), architecture == "Qwen2ForCausalLM"
    return Llama(
        geometry=geometry,
        inner=config.integer("intermediate_size"),
        eps=config.number("rms_norm_eps", 1e-6),
        activation=activation,
        rope=read_rope(config, geometry.heads.size, context or geometry.context, theta),
        windows=_windows(config, architecture, geometry.layers),
        roped=_roped(config, architecture, geometry.layers),
        qkv_bias=qwen2 or bias,
        output_bias=not qwen2 and bias,
        mlp_bias=config.flag("mlp_bias", False),
        qk_norm=architecture == "Qwen3ForCausalLM",
        tied=None if config.get("tie_word_embeddings") is None else config.flag("tie_word_embeddings", False),
    )


def build_llama(weights: Weights, architecture: str, context: int) -> ov.Model:
    """The paged graph of a checkpoint. Raises Invalid for what does not fit, naming the field or the tensor."""
    shape = read_llama(weights.checkpoint.config, architecture, context)
    names, hidden = find_names(weights.checkpoint), shape.geometry.hidden
    graph = PagedGraph(weights)
    x = graph.sample(_layers(graph, shape, names))
    x = graph.rms_norm(x, names.prefix + "norm.weight", hidden, shape.eps)
    logits = graph.head(x, _head(weights.checkpoint, names, shape), hidden, shape.geometry.vocabulary)
    return graph.model(logits, "logits", architecture)


def llama_states(graph: Graph, architecture: str, context: int) -> Node:
    """The last layer's states of every token [T, hidden], normed, without a head. Raises Invalid as `build_llama`."""
    shape = read_llama(graph.weights.checkpoint.config, architecture, context)
    names = find_names(graph.weights.checkpoint)
    x = _layers(graph, shape, names)
    return graph.rms_norm(x, names.prefix + "norm.weight", shape.geometry.hidden, shape.eps)


def _layers(graph: Graph, shape: Llama, names: "Names") -> Node:
    hidden = shape.geometry.hidden
    x = graph.embed(names.embedding, shape.geometry.vocabulary, hidden)
    angles = graph.angles(shape.rope)
    for layer in range(shape.geometry.layers):
        at = f"{names.prefix}layers.{layer}."
        normed = graph.rms_norm(x, at + "input_layernorm.weight", hidden, shape.eps)
        x = op.add(x, _attention(graph, shape, at + "self_attn.", layer, normed, angles))
        normed = graph.rms_norm(x, at + "post_attention_layernorm.weight", hidden, shape.eps)
        x = op.add(x, _mlp(graph, shape, at + "mlp.", normed))
    return x


def _attention(graph: Graph, shape: Llama, at: str, layer: int, x: Node, angles: tuple[Node, Node]) -> Node:
    heads, hidden = shape.geometry.heads, shape.geometry.hidden
    wide, narrow = heads.query * heads.size, heads.key_value * heads.size

    def project(name: str, outer: int, count: int) -> Node:
        mixed = graph.linear(x, at + name + "_proj", hidden, outer, shape.qkv_bias)
        split = graph.split_heads(mixed, count, heads.size)
        if shape.qk_norm:
            split = graph.rms_norm(split, f"{at}{name}_norm.weight", heads.size, shape.eps)
        if shape.roped[layer]:
            split = graph.rotate(split, angles, heads.size)
        return graph.join_heads(split, count, heads.size)

    q, k = project("q", wide, heads.query), project("k", narrow, heads.key_value)
    v = graph.linear(x, at + "v_proj", hidden, narrow, shape.qkv_bias)
    mixed = graph.attend(layer, q, k, v, heads, shape.windows[layer])
    return graph.linear(mixed, at + "o_proj", wide, hidden, shape.output_bias)


def _mlp(graph: Graph, shape: Llama, at: str, x: Node) -> Node:
    hidden = shape.geometry.hidden
    gate = graph.linear(x, at + "gate_proj", hidden, shape.inner, shape.mlp_bias)
    up = graph.linear(x, at + "up_proj", hidden, shape.inner, shape.mlp_bias)
    gated = op.multiply(_activate(gate, shape.activation), up)
    return graph.linear(gated, at + "down_proj", shape.inner, hidden, shape.mlp_bias)


def _activate(x: Node, name: str) -> Node:
    if name == "silu":
        return op.swish(x)
    return op.gelu(x, "erf" if name == "gelu" else "tanh")


def _windows(config: Fields, architecture: str, layers: int) -> tuple[int, ...]:
    """Mistral's window holds for every layer; Qwen's and SmolLM3's where use_sliding_window and layer_types say."""
    if config.get("sliding_window") is None or architecture == "LlamaForCausalLM":
        return (0,) * layers
    window = config.integer("sliding_window")
    if architecture == "MistralForCausalLM":
        return (window,) * layers
    if not config.flag("use_sliding_window", False):
        return (0,) * layers
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


@dataclass(frozen=True, slots=True)
class Names:
    """What this checkpoint calls its parts. prefix: before `layers.0.` and `norm.weight`; head: None where the
    file has none."""

    prefix: str
    embedding: str
    head: str | None


def find_names(checkpoint: Tensors) -> Names:
    """Find the decoder's prefix by its embedding table: `model.`, none, `language_model.model.` and the like."""
    tables = [name for name in checkpoint if name.endswith("embed_tokens.weight")]
    if len(tables) != 1:
        raise Invalid(f"{checkpoint.directory}: tensor model.embed_tokens.weight is missing")
    prefix = tables[0].removesuffix("embed_tokens.weight")
    outer = prefix.removesuffix("model.")
    heads = (outer + "lm_head.weight", "lm_head.weight", prefix + "lm_head.weight", outer + "output.weight")
    return Names(prefix, tables[0], next((name for name in heads if name in checkpoint), None))


def _head(checkpoint: Tensors, names: Names, shape: Llama) -> str:
    """The head's table: its own where the file has one, else the embedding's unless the config forbids that."""
    if names.head is not None:
        return names.head
    if shape.tied is False:
        raise Invalid(f"{checkpoint.directory}: tensor lm_head.weight is missing and tie_word_embeddings is false")
    return names.embedding
