"""An adapter's tensors: two thin matrices for each layer that it changes.

Rule: whatever is wrong with the files is said when they are opened, before anybody is answered with them: a layer that
the base does not have, a shape that is not what the config and the base say, a tensor that is missing or not finite.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haiga.core.errors import Invalid, Unsupported
from haiga.models.adapters.config import CONFIG, WEIGHTS, LoraConfig, read_lora
from haiga.models.adapters.widen import Floats, widen
from haiga.models.fields import Fields
from haiga.models.files import open_regular
from haiga.models.weights import Tensors
from haiga.models.weights.checkpoint import read_header

_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight")
_LAYER = re.compile(r"(?:.*\.)?(layers\.\d+\..+)")  # what stands before differs between a class and its checkpoint
# experts see a part of the rows, and what decides between them is kept exact
_NOT_LINEAR = re.compile(r".*(\.experts\.\d+\..*|\.mlp\.gate|\.router|\.shared_expert_gate|\.block_sparse_moe\.gate)")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Linear:
    """A base's layer: a product from `inner` numbers to `outer`."""

    inner: int
    outer: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter over a base. ranks: of each of the base's layers that it changes; key: what its files are."""

    directory: Path
    key: str
    ranks: Mapping[str, int]
    _names: Mapping[str, tuple[str, str]]
    _layers: Mapping[str, Linear]
    _config: LoraConfig
    _tensors: Tensors

    def write(self, layer: str, down: Floats, up: Floats) -> None:
        """Put what `factors` gives into these, which have its shapes. What is not finite was refused when the adapter
        was opened."""
        names, rank, linear = self._names[layer], self.ranks[layer], self._layers[layer]
        widen(self._tensors.stored(names[0], (rank, linear.inner)), 1.0, down)
        widen(self._tensors.stored(names[1], (linear.outer, rank)).T, self._config.scale_of(_trained(names[0])), up)

    def factors(self, layer: str) -> tuple[Floats, Floats]:
        """A [rank, inner], and B transposed [rank, outer] with the scale in it: y + (x A^T) B. Raises Invalid for
        numbers that are not finite."""
        names, rank, linear = self._names[layer], self.ranks[layer], self._layers[layer]
        down = self._tensors.read(names[0], (rank, linear.inner))
        up = self._tensors.read(names[1], (linear.outer, rank))
        with np.errstate(over="ignore"):
            scaled = up.T * np.float32(self._config.scale_of(_trained(names[0])))
        if not np.isfinite(scaled).all():
            raise Invalid(f"{self.directory / CONFIG}: lora_alpha takes {names[1]} out of the range of numbers")
        return down, scaled


def linear_layers(base: Tensors) -> dict[str, Linear]:
    """The layers of a base that an adapter may change, by name."""
    stems = {name: name.removesuffix(".weight") for name in base if name.endswith(".weight") and _LAYER.fullmatch(name)}
    shapes = {stem: base.entry(name).shape for name, stem in stems.items() if not _NOT_LINEAR.fullmatch(stem)}
    return {stem: Linear(shape[1], shape[0]) for stem, shape in shapes.items() if len(shape) == 2}


def open_adapter(directory: Path, layers: Mapping[str, Linear]) -> Adapter:
    """The adapter in `directory` over a base that has these `layers`. Raises Invalid and Unsupported in one line that
    names the file, the field or the tensor."""
    config, file = read_lora(directory), directory / WEIGHTS
    entries = read_header(file)
    tensors = Tensors(directory, Fields(str(directory / CONFIG), {}), entries)
    known = {_short(name): name for name in layers}
    names, ranks = {}, {}
    for pair in _pairs(file, entries):
        layer = _find(file, _trained(pair[0]), known)
        names[layer] = pair
        ranks[layer] = _check(tensors, pair, config, layers[layer])
    for layer in layers:
        if config.wants(layer) and layer not in ranks:
            raise Invalid(f"{file}: layer {layer} is one of target_modules, but has no tensors")
    if not ranks:
        raise Invalid(f"{file}: holds no LoRA tensors")
    adapter = Adapter(directory, digest(directory), ranks, names, layers, config, tensors)
    for layer in ranks:
        adapter.factors(layer)
    tensors.release()
    return adapter


def digest(directory: Path) -> str:
    """A hash of the adapter's files: the same adapter under two names shares what is cached of it."""
    whole = hashlib.blake2b(digest_size=16)
    for name in (CONFIG, WEIGHTS):
        with open_regular(directory / name) as stream:
            while piece := stream.read(_CHUNK):
                whole.update(piece)
    return whole.hexdigest()


def _pairs(file: Path, entries: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The names of each layer's A and B, where the file has one of them. Raises Unsupported for any other name."""
    pairs: dict[tuple[str, str], None] = {}
    for name in entries:
        match = _FACTOR.fullmatch(name)
        if match is None:
            raise Unsupported(f"{file}: tensor {name} is not supported; an adapter's are lora_A and lora_B weights")
        begin, end = match.span(2)
        pairs[f"{name[:begin]}A{name[end:]}", f"{name[:begin]}B{name[end:]}"] = None
    yield from pairs


def _find(file: Path, trained: str, known: Mapping[str, str]) -> str:
    layer = known.get(_short(trained))
    if layer is None:
        raise Unsupported(f"{file}: {trained} is no layer of the base that an adapter may change")
    return layer


def _check(tensors: Tensors, pair: tuple[str, str], config: LoraConfig, linear: Linear) -> int:
    """The rank of a layer, whose tensors have the shapes that they should."""
    rank = config.rank_of(_trained(pair[0]))
    tensors.expect(pair[0], (rank, linear.inner))
    tensors.expect(pair[1], (linear.outer, rank))
    return rank


def _trained(name: str) -> str:
    """The layer of a tensor, as the model that was trained calls it."""
    match = _FACTOR.fullmatch(name)
    assert match is not None
    return match[1]


def _short(layer: str) -> str:
    """A layer's name without what stands before `layers.`"""
    match = _LAYER.fullmatch(layer)
    return match[1] if match else layer
