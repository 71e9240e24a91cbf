"""What a model's tensors are for: how many numbers each part holds, and what it takes packed.

Rule: told by the tensors' names, from the files' headers alone.
"""

import re
from collections import Counter
from dataclasses import dataclass
from math import prod

from haiga.models.weights import Packing, Tensors
from haiga.models.weights.packing import packed_bytes

_EXPERT = re.compile(r".*\.experts\.(\d+)\..*")
SIGHT = re.compile(r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|connector|image_newline)(\.|$)")
_PARTS = (  # the first that fits
    ("sight", re.compile(rf"(.*)?{SIGHT.pattern}.*")),
    ("embedding and head", re.compile(r".*(embed_tokens|embeddings|lm_head|output)\.weight|.*embeddings\..*")),
    ("experts", _EXPERT),
    ("norms and biases", re.compile(r".*(norm\w*\.weight|\.bias|sinks)", re.IGNORECASE)),
    ("attention", re.compile(r".*attn?\w*\..*|.*attention\..*")),
)


@dataclass(frozen=True, slots=True)
class Part:
    """parameters: how many numbers; size: bytes in the packing asked for."""

    name: str
    parameters: int
    size: int


def list_parts(tensors: Tensors, packing: Packing) -> list[Part]:
    """The parts that there are, in the order in which a token goes through them."""
    counts, sizes = Counter[str](), Counter[str]()
    for name in tensors:
        part = next((part for part, pattern in _PARTS if pattern.fullmatch(name)), "feed-forward")
        counts[part] += prod(tensors.entry(name).shape)
        sizes[part] += _size(tensors, name, part, packing)
    order = ("embedding and head", "attention", "feed-forward", "experts", "norms and biases", "sight")
    return [Part(name, counts[name], sizes[name]) for name in order if counts[name]]


def sight_bytes(shape: tuple[int, ...], packing: Packing) -> int:
    """Bytes of one of a tower's tensors, where the decoder is in that packing."""
    return prod(shape) * (4 if packing == "f32" else 2)


def count_experts(tensors: Tensors) -> int:
    """Experts of a layer; 0 for a model without them."""
    return len({match[1] for name in tensors if (match := _EXPERT.fullmatch(name))})


def _size(tensors: Tensors, name: str, part: str, packing: Packing) -> int:
    shape, form = tensors.entry(name).shape, tensors.grouped(name)
    if part == "sight":
        return sight_bytes(shape, packing)
    if len(shape) != 2 or part == "norms and biases":
        return 4 * prod(shape)
    if packing == "kept" and form is not None:
        return sum(form.sizes(*shape))
    return packed_bytes(shape, "int8" if packing == "int4" and part == "embedding and head" else packing)
