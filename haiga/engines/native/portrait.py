"""What can be said of a model before it runs: what it is, what it takes, and how long a text it has room for.

Rule: from its files' headers and the options alone; nothing is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from haiga.engines.native.opening import NativeOptions, plan
from haiga.models.description import Description, describe
from haiga.models.load import BLOCK, CacheType
from haiga.models.parts import Part, count_experts, list_parts
from haiga.models.registry import DECODERS
from haiga.models.sources import open_tensors
from haiga.models.weights import Packing


@dataclass(frozen=True, slots=True)
class Portrait:
    """active: parameters that one token goes through; experts, chosen: of a layer, 0 without them. kv_bytes: of a token
    in the cache however long the text, local_kv_bytes: in layers that give old ones back. context: tokens that one
    text may have in the memory there is for the cache; trained: that the model was made for. An encoder has no cache,
    and an exported IR no parts."""

    family: str
    weights: Packing
    parts: tuple[Part, ...]
    active: int
    experts: int
    chosen: int
    cache: CacheType
    kv_bytes: int
    local_kv_bytes: int
    context: int
    trained: int

    @property
    def parameters(self) -> int:
        """All of them."""
        return sum(part.parameters for part in self.parts)


def portray(directory: Path, options: NativeOptions) -> Portrait:
    """Raises Invalid naming the file."""
    description = describe(directory)
    plant = plan(directory, description, options)
    writes = description.architecture in DECODERS or not description.can_embed
    parts, experts, chosen = _parts(directory, description, plant.weights)
    total = sum(part.parameters for part in parts)
    passed_over = sum(part.parameters for part in parts if part.name == "experts")
    return Portrait(
        family=description.architecture,
        weights=plant.weights,
        parts=parts,
        active=total - (passed_over * (experts - chosen) // experts if experts else 0),
        experts=experts,
        chosen=chosen,
        cache=plant.cache,
        kv_bytes=description.kv_bytes(plant.cache) if writes else 0,
        local_kv_bytes=description.local_kv_bytes(plant.cache) if writes else 0,
        context=min(plant.context, plant.blocks * BLOCK) if writes else plant.context,
        trained=description.context,
    )


def _parts(directory: Path, description: Description, weights: Packing) -> tuple[tuple[Part, ...], int, int]:
    """The parts, the experts of a layer and how many of them a token has."""
    if not description.can_embed:
        return (), 0, 0
    tensors = open_tensors(directory)
    experts = count_experts(tensors)
    chosen = tensors.config.integer("num_experts_per_tok", experts) if experts else 0
    return tuple(list_parts(tensors, weights)), experts, chosen
