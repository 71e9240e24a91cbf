"""A directory or GGUF file to a compiled model: packed weights from the cache or into it, the graph, the plugin.

Rule: what is cached is the packed weights, as a file that is mapped. The compiled blob is not: an exported blob of a
paged model loses what the plugin needs to read it back, and building and compiling the graph anew takes under a second.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import get_args

import openvino as ov

from haiga.core.errors import Invalid
from haiga.core.ports import Horizon
from haiga.models.adapters.products import NONE, Adapted
from haiga.models.dense import DenseGraph
from haiga.models.ir import ir_file, is_ir, read_ir
from haiga.models.plugin import BLOCK, CacheType, compile_model
from haiga.models.pooling import Pooling, pool
from haiga.models.registry import DECODERS, ENCODERS, build, find_architecture, read_decoder, states
from haiga.models.sources import open_tensors, source_files
from haiga.models.weights import (
    PACKINGS,
    Arena,
    Heap,
    PackedFile,
    PackedWriter,
    Packing,
    Progress,
    Tensors,
    Weights,
)
from haiga.models.weights.source import packed_size

__all__ = [
    "BLOCK",
    "CacheType",
    "Loaded",
    "Settings",
    "cache_file",
    "count_weights",
    "describe_origin",
    "load",
    "load_embedder",
    "prepare",
]

_FORMAT = "1"  # raise it when packing changes, so that old cached files are not met


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is loaded. weights: packing of the matrices; cache: precision of keys and values;
    threads: 0 for every core; context: tokens the rope is computed for, 0 for the model's own; adapted: what adapters
    may change."""

    weights: Packing = "int4"
    cache: CacheType = "u8"
    threads: int = 0
    context: int = 0
    adapted: Adapted = NONE

    def __post_init__(self) -> None:
        for name, value, known in (("weights", self.weights, PACKINGS), ("cache", self.cache, get_args(CacheType))):
            if value not in known:
                raise Invalid(f"{name}: {value!r} is not supported; supported: {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A compiled model and the weights that its memory lies in (None for an IR, which owns its memory). horizon: how
    far its local layers see, None where it has none."""

    compiled: ov.CompiledModel
    weights: Weights | None
    horizon: Horizon | None = None


def load(directory: Path, settings: Settings, cache_dir: Path | None = None) -> Loaded:
    """Compile the model in `directory`; with `cache_dir`, packed weights are taken from there or put there.

    Raises Invalid with one line naming the file, field or tensor that is wrong.
    """
    if is_ir(directory):
        return Loaded(compile_model(read_ir(directory), None, settings.cache, settings.threads), None)
    with _weights(directory, settings, cache_dir) as weights:
        model = build(weights, settings.context, settings.adapted)
    horizon = read_decoder(weights.checkpoint.config, settings.context).horizon
    return Loaded(compile_model(model, weights, settings.cache, settings.threads), weights, horizon)


def load_embedder(directory: Path, settings: Settings, pooling: Pooling, cache_dir: Path | None = None) -> Loaded:
    """Compile the model in `directory` as one that gives a text's vector; encoder or decoder, no IR.

    Raises Invalid with one line naming the file, field or tensor that is wrong.
    """
    with _weights(directory, settings, cache_dir) as weights:
        _pack(weights, settings.context)
        model = _embedder(weights, settings.context, pooling)
    return Loaded(compile_model(model, weights, settings.cache, settings.threads), weights)


def prepare(directory: Path, settings: Settings, cache_dir: Path, progress: Progress) -> None:
    """Pack the weights into `cache_dir` so that the next load only maps them. `progress` is called with the number
    of weights packed since its last call; `count_weights` gives the whole."""
    if not is_ir(directory):
        with _weights(directory, settings, cache_dir, progress) as weights:
            _pack(weights, settings.context)


def count_weights(checkpoint: Tensors) -> int:
    """How many numbers the checkpoint's tensors hold."""
    return sum(prod(checkpoint.entry(name).shape) for name in checkpoint)


def cache_file(directory: Path, weights: Packing, cache_dir: Path) -> Path:
    """Where the directory's packed weights are cached; the name changes with anything they are made from."""
    digest = _sources(directory, source_files(directory), f"{_FORMAT} {weights}")
    return cache_dir / f"{directory.name}-{weights}-{digest[:16]}.safetensors"


def _sources(directory: Path, files: list[Path], more: str) -> str:
    """A digest of what a model is made from: it changes with any of its files."""
    digest = hashlib.sha256(more.encode())
    if directory.is_dir():
        digest.update((directory / "config.json").read_bytes())
    for file in files:
        stat = file.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def describe_origin(directory: Path, settings: Settings) -> dict[str, str]:
    """What the keys and values of given tokens depend on, each by its name: equal origins make equal ones."""
    files = [ir_file(directory), ir_file(directory).with_suffix(".bin")] if is_ir(directory) else None
    return {
        "model": str(directory),
        "weights": _sources(directory, source_files(directory) if files is None else files, _FORMAT),
        "packing": settings.weights,
        "context": str(settings.context),
        "cache": settings.cache,
        "haiga": version("haiga"),
        "openvino": ov.__version__,
        "processor": str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME")),
    }


def _embedder(weights: Weights, context: int, pooling: Pooling) -> ov.Model:
    """The graph from texts [B, T] to vectors [B, hidden]."""
    architecture = find_architecture(weights.checkpoint.config)
    graph = DenseGraph(weights, causal=architecture not in ENCODERS)
    vectors = pool(graph, states(graph, architecture, context), pooling)
    return graph.model(vectors, "vectors", architecture)


def _pack(weights: Weights, context: int) -> None:
    """Ask for every weight once. A decoder's head too, which its vectors do not need: text and embeddings share one
    packed file."""
    architecture = find_architecture(weights.checkpoint.config)
    if architecture in DECODERS:
        build(weights, context)
    else:
        states(DenseGraph(weights, causal=False), architecture, context)


@contextmanager
def _weights(
    directory: Path, settings: Settings, cache_dir: Path | None, progress: Progress = lambda _: None
) -> Iterator[Weights]:
    """The weights to build with; when the block ends well, what was packed is kept."""
    checkpoint = open_tensors(directory)
    find_architecture(checkpoint.config)  # before hours of packing, not after
    arena = _arena(checkpoint, settings.weights, cache_dir)
    try:
        yield Weights(checkpoint, settings.weights, arena, progress)
        arena.seal()
        checkpoint.release()
    except BaseException:
        arena.discard()
        raise


def _arena(checkpoint: Tensors, packing: Packing, cache_dir: Path | None) -> Arena:
    matrices = [name for name in checkpoint if len(checkpoint.entry(name).shape) == 2]
    largest = sum(packed_size(checkpoint, name, packing) for name in matrices)
    if cache_dir is None or not largest:
        return Heap()
    path = cache_file(checkpoint.directory, packing, cache_dir)
    if path.exists():
        return PackedFile(path)
    cache_dir.mkdir(parents=True, exist_ok=True)
    return PackedWriter(path, largest, 3 * len(checkpoint))
