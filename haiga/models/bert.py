"""The BERT family of encoders: BERT, RoBERTa and XLM-RoBERTa, as MiniLM, BGE and E5 are made of.

Rule: one encoder, and everything the members differ in is a field of `Bert`, read from config.json by `read_bert`.
Paper: arXiv 1810.04805. Every sequence is of one segment, so that its token type is 0 throughout.
"""

from dataclasses import dataclass

import numpy as np
import openvino.opset15 as op

from haiga.core.errors import Invalid
from haiga.models.fields import Fields
from haiga.models.geometry import Geometry, Heads, read_geometry
from haiga.models.graph import Graph, Node, Reach, constant, matrix
from haiga.models.weights import Tensors

_TABLE = "embeddings.word_embeddings.weight"
_ACTIVATIONS = {"gelu": "erf", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "relu": ""}


@dataclass(frozen=True, slots=True)
class Bert:
    """What a member of the family is. places: rows of its table of positions; first: the row of a text's first
    token; types: rows of its table of token types."""

    geometry: Geometry
    inner: int
    eps: float
    activation: str
    places: int
    first: int
    types: int


def read_bert(config: Fields, architecture: str) -> Bert:
    """Read config.json of any member. Raises Invalid naming the field."""
    activation = config.text("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise config.refuse("hidden_act", f"{activation!r} is not supported; supported: {', '.join(_ACTIVATIONS)}")
    kind = config.text("position_embedding_type", "absolute")
    if kind != "absolute":
        raise config.refuse("position_embedding_type", f"{kind!r} is not supported; supported: absolute")
    if config.flag("is_decoder", False):
        raise config.refuse("is_decoder", "is true; a BERT that decodes is not supported")
    return Bert(
        geometry=read_geometry(config, architecture),
        inner=config.integer("intermediate_size"),
        eps=config.number("layer_norm_eps", 1e-12),
        activation=activation,
        places=config.integer("max_position_embeddings", 512),
        first=first_place(config, architecture),
        types=config.integer("type_vocab_size", 2),
    )


def first_place(config: Fields, architecture: str) -> int:
    """The row of the first token's position: RoBERTa leaves those up to the padding token's id free."""
    return 0 if architecture == "BertModel" else config.integer("pad_token_id", 1, least=0) + 1


def bert_states(graph: Graph, architecture: str, context: int) -> Node:
    """The last layer's states of every token, [T, hidden]. Raises Invalid naming the field or the tensor."""
    shape, prefix = read_bert(graph.weights.checkpoint.config, architecture), find_prefix(graph.weights.checkpoint)
    hidden = shape.geometry.hidden
    x = _embeddings(graph, shape, prefix)
    for layer in range(shape.geometry.layers):
        at = f"{prefix}encoder.layer.{layer}."
        mixed = _attention(graph, shape, at + "attention.", layer, x)
        x = graph.layer_norm(op.add(x, mixed), at + "attention.output.LayerNorm", hidden, shape.eps)
        wide = _activate(graph.linear(x, at + "intermediate.dense", hidden, shape.inner, True), shape.activation)
        narrow = graph.linear(wide, at + "output.dense", shape.inner, hidden, True)
        x = graph.layer_norm(op.add(x, narrow), at + "output.LayerNorm", hidden, shape.eps)
    return x


def find_prefix(checkpoint: Tensors) -> str:
    """What stands before `embeddings.` in the tensors' names: nothing, `bert.`, `roberta.` and the like."""
    tables = [name for name in checkpoint if name.endswith(_TABLE)]
    if len(tables) != 1:
        raise Invalid(f"{checkpoint.directory}: tensor {_TABLE} is missing")
    return tables[0].removesuffix(_TABLE)


def _embeddings(graph: Graph, shape: Bert, prefix: str) -> Node:
    hidden, at = shape.geometry.hidden, prefix + "embeddings."
    x = graph.embed(prefix + _TABLE, shape.geometry.vocabulary, hidden)
    places = matrix(graph.weights.table(at + "position_embeddings.weight", shape.places, hidden))
    rows = op.add(graph.positions, constant(shape.first, np.int64))
    x = op.add(x, op.gather(places, rows, constant(0, np.int64)))
    types = matrix(graph.weights.table(at + "token_type_embeddings.weight", shape.types, hidden))
    x = op.add(x, op.gather(types, constant([0], np.int64), constant(0, np.int64)))
    return graph.layer_norm(x, at + "LayerNorm", hidden, shape.eps)


def _attention(graph: Graph, shape: Bert, at: str, layer: int, x: Node) -> Node:
    hidden = shape.geometry.hidden
    q, k, v = (graph.linear(x, f"{at}self.{name}", hidden, hidden, True) for name in ("query", "key", "value"))
    query = shape.geometry.heads.query
    heads = Heads(query, query, hidden // query)
    mixed = graph.attend(layer, q, k, v, Reach(heads, heads.size**-0.5))
    return graph.linear(mixed, at + "output.dense", hidden, hidden, True)


def _activate(x: Node, name: str) -> Node:
    return op.relu(x) if name == "relu" else op.gelu(x, _ACTIVATIONS[name])
