"""Attention of one layer, as most families have it: projections, norms of queries and keys, rope, a window.

Rule: what the families differ in is a field of `Attention`; a family that does something else entirely says so in its
own file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from haiga.core.ports import Horizon
from haiga.models.geometry import Heads
from haiga.models.graph import Graph, Node, Norm, Reach
from haiga.models.rope import Rope


@dataclass(frozen=True, slots=True)
class Attention:
    """hidden: width of a token's state. scale: what products are multiplied by. rope: None for a layer without
    positions; paired: it turns neighbouring numbers, not halves. window: how many last positions a token sees (0: all).
    fused: queries, keys and values are one matrix. norm: of queries and keys, by head (a centred one with weights for
    each), or of all heads as a `whole`.
    sinks: one more score per head."""

    heads: Heads
    hidden: int
    scale: float
    rope: Rope | None
    paired: bool = False
    window: int = 0
    qkv_bias: bool = False
    output_bias: bool = False
    fused: bool = False
    norm: Norm | None = None
    whole: bool = False
    sinks: bool = False


def local_layers(attentions: Sequence[Attention]) -> tuple[Horizon | None, tuple[bool, ...]]:
    """How far the layers with a window see, and which they are. None where none has one, or where windows differ."""
    windows = {part.window for part in attentions} - {0}
    if len(windows) != 1:
        return None, ()
    return Horizon(windows.pop()), tuple(bool(part.window) for part in attentions)


def attention(graph: Graph, part: Attention, at: str, layer: int, x: Node) -> Node:
    """x [T, hidden] mixed with what came before: [T, hidden]. `at`: what the tensors' names begin with."""
    wide, narrow = part.heads.query * part.heads.size, part.heads.key_value * part.heads.size
    q, k, v = _project(graph, part, at, x)
    q = _place(graph, part, at + "q_norm", q, part.heads.query)
    k = _place(graph, part, at + "k_norm", k, part.heads.key_value)
    reach = Reach(part.heads, part.scale, part.window, sinks=at + "sinks" if part.sinks else None)
    mixed = graph.attend(layer, graph.join_heads(q, wide), graph.join_heads(k, narrow), v, reach)
    return graph.linear(mixed, at + "o_proj", wide, part.hidden, part.output_bias)


def _project(graph: Graph, part: Attention, at: str, x: Node) -> list[Node]:
    """Queries [T, query * size], keys and values [T, key_value * size]."""
    wide, narrow = part.heads.query * part.heads.size, part.heads.key_value * part.heads.size
    if part.fused:
        return graph.split(graph.linear(x, at + "qkv_proj", part.hidden, wide + 2 * narrow), wide, narrow, narrow)
    widths = {"q_proj": wide, "k_proj": narrow, "v_proj": narrow}
    return [graph.linear(x, at + name, part.hidden, width, part.qkv_bias) for name, width in widths.items()]


def _place(graph: Graph, part: Attention, norm: str, x: Node, count: int) -> Node:
    """Queries or keys normed and turned to their positions: [T, count, 1, size]."""
    size = part.heads.size
    if part.norm is not None and part.whole:
        x = graph.norm(x, part.norm, norm, count * size)
    split = graph.split_heads(x, count, size)
    if part.norm is not None and not part.whole:
        split = graph.norm(split, part.norm, norm, *(count, size) if part.norm.centred else (size,))
    if part.rope is None:
        return split
    if part.paired:
        split = graph.unpair(split, count, size, part.rope.turning)
    return graph.rotate(split, part.rope, size)
