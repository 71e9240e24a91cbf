"""The sizes that config.json gives in every decoder family, read in one place.

Rule: what the graph is built from and what is said about a model before it is loaded come from the same lines.
"""

from dataclasses import dataclass

from haiga.models.fields import Fields

_HEAD_SIZES = {  # where a config without head_dim does not mean hidden_size / heads
    "Qwen3ForCausalLM": 128,
    "GemmaForCausalLM": 256,
    "Gemma2ForCausalLM": 256,
    "Gemma3ForCausalLM": 256,
    "Gemma3ForConditionalGeneration": 256,
    "Glm4ForCausalLM": 128,
    "GlmForCausalLM": 128,
    "GptOssForCausalLM": 64,
    "Llama4ForCausalLM": 128,
    "Llama4ForConditionalGeneration": 128,
}


_MOST_LAYERS, _LARGEST_HEAD = 4096, 8192  # far beyond any model: a damaged number must not be allocated for


@dataclass(frozen=True, slots=True)
class Heads:
    """The attention geometry: `query` heads share `key_value` heads of `size` numbers each."""

    query: int
    key_value: int
    size: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """vocabulary: rows of the embedding table; hidden: width of a token's state; context: tokens trained for."""

    vocabulary: int
    hidden: int
    layers: int
    heads: Heads
    context: int


def read_geometry(config: Fields, architecture: str) -> Geometry:
    """Read config.json; raises Invalid naming the field."""
    hidden, query = config.integer("hidden_size"), config.integer("num_attention_heads")
    size = config.integer("head_dim", _HEAD_SIZES.get(architecture, hidden // query))
    shared = config.integer("num_key_value_heads", query)
    if query % shared:
        raise config.refuse("num_attention_heads", f"({query}) is no multiple of num_key_value_heads ({shared})")
    if size % 2 or not 0 < size <= _LARGEST_HEAD:
        raise config.refuse("head_dim", f"({size}) is no even number up to {_LARGEST_HEAD}: rope turns pairs")
    layers = config.integer("num_hidden_layers")
    if layers > _MOST_LAYERS:
        raise config.refuse("num_hidden_layers", f"is {layers}, more than {_MOST_LAYERS}")
    return Geometry(
        vocabulary=config.integer("vocab_size"),
        hidden=hidden,
        layers=layers,
        heads=Heads(query, shared, size),
        context=config.integer("max_position_embeddings", 2048),
    )


def read_windows(config: Fields, layers: int, every: int, default: int = 4096) -> tuple[int, ...]:
    """How many last positions each layer sees, 0 for all: what `layer_types` says, else every `every`-th sees all.

    Raises Invalid naming the field.
    """
    window, kinds = config.integer("sliding_window", default), config.sequence("layer_types", layers)
    if kinds is None:
        every = config.integer("sliding_window_pattern", every)
        return tuple(window if (layer + 1) % every else 0 for layer in range(layers))
    return tuple(window if kind == "sliding_attention" else 0 for kind in kinds[:layers])
