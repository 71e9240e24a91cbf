"""A decoder of text: embedding, layers, a norm and a head. What stands around every family's layers.

Rule: a family's file reads config.json into a `Decoder`; how that becomes a graph is said here, once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import openvino as ov

from haiga.core.errors import Invalid
from haiga.core.ports import Horizon
from haiga.models.adapters.products import NONE, Adapted
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry
from haiga.models.graph import Graph, Node, Norm, PagedGraph
from haiga.models.weights import Tensors, Weights

Layer = Callable[[Graph, str, int, Node], Node]


@dataclass(frozen=True, slots=True)
class Decoder:
    """What a checkpoint's config makes of a family.

    layer: from a graph, what the layer's tensors' names begin with, its number and x [T, hidden] to [T, hidden].
    norm: before the head. tied: whether the head is the embedding's table; None: where the file has no other.
    horizon: how far the layers that are `local` see, whose keys and values are kept apart; None: there are no such.
    sees: how many times a picture's features enter: 0 for a decoder that reads text alone, 1 for one that takes them
    in place of embeddings, one more for each of the first layers whose states they are added to.
    turns: whether positions count in time, rows and columns. mutual: whether the tokens of a picture see each other.
    embed_scale, logit_scale: what embeddings and logits are multiplied by; logit_cap: how far logits may go (0: ever).
    """

    geometry: Geometry
    layer: Layer
    norm: Norm
    tied: bool | None = None
    horizon: Horizon | None = None
    local: tuple[bool, ...] = ()
    embed_scale: float = 1.0
    logit_scale: float = 1.0
    logit_cap: float = 0.0
    sees: int = 0
    turns: bool = False
    mutual: bool = False


Read = Callable[[Fields, str, int], Decoder]


def build_decoder(weights: Weights, decoder: Decoder, name: str, adapted: Adapted = NONE) -> ov.Model:
    """The paged graph of a checkpoint, with room for adapters. Raises Invalid for what does not fit, naming the
    tensor."""
    names = find_names(weights.checkpoint)
    graph = PagedGraph(weights, decoder.local, _features(decoder), decoder.turns, decoder.mutual, adapted)
    x = _norm(graph, decoder, names, graph.sample(_layers(graph, decoder, names)))
    table, geometry = _head(weights.checkpoint, names, decoder), decoder.geometry
    logits = graph.scaled(graph.head(x, table, geometry.hidden, geometry.vocabulary), decoder.logit_scale)
    return graph.model(graph.capped(logits, decoder.logit_cap), "logits", name)


def decoder_states(graph: Graph, decoder: Decoder) -> Node:
    """The last layer's states of every token [T, hidden], normed, without a head. Raises Invalid as `build_decoder`."""
    names = find_names(graph.weights.checkpoint)
    return _norm(graph, decoder, names, _layers(graph, decoder, names))


def _layers(graph: Graph, decoder: Decoder, names: "Names") -> Node:
    x = graph.embed(names.embedding, decoder.geometry.vocabulary, decoder.geometry.hidden)
    x = graph.picture(graph.scaled(x, decoder.embed_scale))
    for number in range(decoder.geometry.layers):
        x = decoder.layer(graph, f"{names.prefix}layers.{number}.", number, x)
        if number + 1 < decoder.sees:
            x = graph.picture_again(x, number + 1)
    return x


def _features(decoder: Decoder) -> tuple[int, int] | None:
    return (decoder.geometry.hidden, decoder.sees) if decoder.sees else None


def _norm(graph: Graph, decoder: Decoder, names: "Names", x: Node) -> Node:
    return graph.norm(x, decoder.norm, names.prefix + "norm", decoder.geometry.hidden)


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


def read_tied(config: Fields) -> bool | None:
    """What the config says of the head, None where it says nothing."""
    return None if config.get("tie_word_embeddings") is None else config.flag("tie_word_embeddings", False)


def _head(checkpoint: Tensors, names: Names, decoder: Decoder) -> str:
    """The head's table: its own where the file has one, else the embedding's unless the config forbids that."""
    if names.head is not None:
        return names.head
    if decoder.tied is False:
        raise Invalid(f"{checkpoint.directory}: tensor lm_head.weight is missing and tie_word_embeddings is false")
    return names.embedding
