"""One step of a batch on OpenVINO: the seam under the scheduler.

Rule: nothing is decided here. Rows come with their block tables; the runner lays them end to end, runs the compiled
graph and hands back the logits of the positions asked for.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.errors import Failed, Invalid, Unsupported
from haiga.core.ports import Horizon, Row
from haiga.engines.native.adapting import Adapting
from haiga.engines.native.pictured import pieces, place_features, token_kinds, turned_places
from haiga.models.adapters.products import Adapted
from haiga.models.load import BLOCK, CacheType, Loaded, Settings, load
from haiga.models.plugin import explain
from haiga.models.weights import Packing

Memory = NDArray[np.uint8]
Build = Callable[[Collection[str]], Loaded]


@dataclass(frozen=True, slots=True)
class Layout:
    """A step's rows as the graph reads them. S sequences, T tokens; begins and block_begins have S + 1 entries,
    tables are laid end to end in `blocks`, sampled are indices into T."""

    ids: Sequence[int]
    positions: Sequence[int]
    past: Sequence[int]
    begins: Sequence[int]
    blocks: Sequence[int]
    block_begins: Sequence[int]
    longest: int
    sampled: Sequence[int]


class OpenVINORunner:
    """A compiled model and its pool of KV blocks.

    exact: logits depend on the sequence alone, to the last bit: not on what else is in the step, on how a prompt is
    chunked, or on which of its blocks were reused. Every token is then run as a sequence of its own, because the
    attention kernel for one new token rounds otherwise than the one for several, and there are always at least as
    many as threads, because with fewer the kernel splits a sequence among threads. Short prompts cost nothing more,
    attention over 16,000 tokens costs twice as much.

    slots: adapters that rows of one pass may have, where the graph has a place for them. build: the same model with a
    place for adapters in some layers.
    """

    def __init__(
        self,
        loaded: Loaded,
        blocks: int,
        exact: bool,
        local_blocks: int = 0,
        slots: int = 8,
        build: Build | None = None,
    ) -> None:
        self._build = build
        self._loaded, self._blocks = loaded, blocks
        self._local_blocks = local_blocks = (local_blocks or blocks) if loaded.horizon else 0
        compiled = loaded.compiled
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        # its keys and values go to blocks that nobody else has
        self._filler = Row([0], 0, [blocks], 0, [local_blocks])
        names = {name for port in compiled.inputs for name in port.get_names()}
        self._width = _features_width(compiled) if "features" in names else 0
        self._mutual = "token_type_ids" in names
        self._turns = len(compiled.input("position_ids").get_partial_shape()) == 2
        self._least = max(threads, 2) if exact else 0
        self._exact = exact
        self._slots = slots
        self._caches = _caches(compiled, blocks + exact, local_blocks + exact)
        self._memory = {local: _memory(self._caches, local) for local in (False, True)}
        self._open(compiled)
        self._vocabulary = int(compiled.output(0).get_partial_shape()[-1].get_length())

    @classmethod
    def load(
        cls,
        directory: Path,
        weights: Packing = "int4",
        cache: CacheType = "u8",
        blocks: int = 64,
        threads: int = 0,
        cache_dir: Path | None = None,
        context: int = 0,
        exact: bool | None = None,
        local_blocks: int = 0,
        adapted: Collection[str] = (),
        slots: int = 8,
    ) -> "OpenVINORunner":
        """Load a checkpoint or IR directory, so that the first request meets no preparation.

        blocks: the pool, in blocks of 32 tokens; local_blocks: that of local layers, 0 for as many; context: tokens
        that the rope is computed for, 0 for the model's own; exact: None for "when weights and cache are both f32";
        adapted: the layers that adapters may change, by name, of which `slots` are at hand at once. Raises Invalid
        naming the file, field or tensor.
        """
        if blocks < 1:
            raise Invalid(f"blocks: {blocks} is less than 1")
        exact = weights == cache == "f32" if exact is None else exact
        settings = Settings(weights, cache, threads, context)
        build = partial(_build, directory, settings, cache_dir, exact)
        return cls(build(adapted), blocks, exact, local_blocks, slots, build)

    @property
    def block_size(self) -> int:
        """Tokens per KV block."""
        return BLOCK

    @property
    def blocks(self) -> int:
        """How many blocks the pool has."""
        return self._blocks

    @property
    def horizon(self) -> Horizon | None:
        """How far the local layers see; None: there are no such."""
        return self._loaded.horizon

    @property
    def local_blocks(self) -> int:
        """How many blocks the local layers' pool has."""
        return self._local_blocks

    @property
    def adapted(self) -> frozenset[str]:
        """The layers that adapters may change, by name."""
        return self._adapting.layers if self._adapting else frozenset()

    @property
    def vocabulary(self) -> int:
        """Width of the logits."""
        return self._vocabulary

    def step(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Logits [sum of sampled, vocabulary], rows in order; a view that the next step overwrites.

        Raises Failed when the plugin refuses the step.
        """
        parts = self._adapting.parts(rows) if self._adapting else ()
        if len(parts) < 2:
            return self._together(rows)
        runs = [self._together([rows[at] for at in part]).copy() for part in parts]
        return np.concatenate(list(_in_order(rows, parts, runs)))

    def _together(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        return self._exactly(rows) if self._exact else self._run(rows)

    def _exactly(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """The step token by token. Pictures whose tokens see each other run whole, in runs of their own: rows of one
        sequence may run side by side only where each is one token."""
        waiting = [pieces(row, self._mutual) for row in rows]
        told: list[list[NDArray[np.float32]]] = [[] for _ in rows]
        while any(waiting):
            whole = all(left[0].whole for left in waiting if left)
            wave = [(at, left.pop(0).rows) for at, left in enumerate(waiting) if left and left[0].whole == whole]
            run = [row for _, part in wave for row in part]
            logits = self._run(run if whole else run + [self._filler] * (self._least - len(run)))
            if not any(waiting) and not any(told):
                return logits
            ends = np.cumsum([sum(row.sampled for row in part) for _, part in wave])
            for (at, _), own in zip(wave, np.split(logits, ends[:-1]), strict=True):
                told[at].append(own.copy())
        return np.concatenate([each for parts in told for each in parts])

    def _run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        for name, tensor in self._adapting.inputs(rows) if self._adapting else ():
            self._request.set_tensor(name, tensor)
        layout = lay_out(rows)
        self._feed("input_ids", layout.ids, np.int64)
        self._feed("position_ids", turned_places(rows) if self._turns else layout.positions, np.int64)
        if self._mutual:
            self._feed("token_type_ids", token_kinds(rows), np.int32)
        if self._width:
            places, features = place_features(rows, self._width)
            self._feed("feature_places", places, np.int64)
            self._request.set_tensor("features", ov.Tensor(features))
        self._feed("sampled_tokens_indices", layout.sampled, np.int64)
        self._feed_tables("", layout)
        if self._loaded.horizon is not None:
            self._feed_tables("local_", lay_out(local_rows(rows, self._loaded.horizon)))
        try:
            self._request.infer()
        except RuntimeError as problem:
            raise Failed(f"the step failed: {explain(problem)}") from problem
        logits: NDArray[np.float32] = self._request.get_output_tensor(0).data
        return logits.reshape(-1, self._vocabulary)

    def block_bytes(self, local: bool) -> int:
        """What a block takes in all layers that its pool serves."""
        return sum(layer.shape[1] for layer in self._memory[local])

    def copy_out(self, block: int, local: bool) -> NDArray[np.uint8]:
        """A copy of a block's keys and values in all layers that its pool serves (`local`: the local layers' pool)."""
        return np.concatenate([np.empty(0, np.uint8), *(layer[block] for layer in self._memory[local])])

    def copy_in(self, block: int, local: bool, content: NDArray[np.uint8]) -> None:
        """Put into a block what `copy_out` gave, of whichever block."""
        at = 0
        for layer in self._memory[local]:
            layer[block] = content[at : at + layer.shape[1]]
            at += layer.shape[1]

    @property
    def layout(self) -> str:
        """What a block consists of, layer by layer, in the plugin's own layout."""
        ports = [port for port in self._loaded.compiled.inputs if "_cache." in port.get_any_name()]
        return "; ".join(
            f"{port.get_any_name()} {port.get_element_type()} {port.get_partial_shape()}" for port in ports
        )

    def rebuilt(self, adapted: Collection[str]) -> Loaded:
        """The same model with a place for adapters in these layers; on any thread, steps go on meanwhile. Raises
        Unsupported for a model that was not loaded from a directory."""
        if self._build is None:
            raise Unsupported("this model takes no adapters")
        return self._build(adapted)

    def adopt(self, loaded: Loaded) -> None:
        """Go on with another graph of the same model, with the keys and values that there are."""
        self._loaded = loaded
        self._open(loaded.compiled)

    def close(self) -> None:
        """Free the model and its pool."""
        del self._request, self._loaded, self._caches, self._memory

    def _open(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        for name, cache in self._caches.items():
            self._request.set_tensor(name, cache)
        adapting = Adapting(compiled, self._slots, self._exact)
        self._adapting = adapting if adapting.layers else None

    def _feed_tables(self, kind: str, layout: Layout) -> None:
        self._feed(kind + "past_lens", layout.past, np.int32)
        self._feed(kind + "subsequence_begins", layout.begins, np.int32)
        self._feed(kind + "block_indices", layout.blocks, np.int32)
        self._feed(kind + "block_indices_begins", layout.block_begins, np.int32)
        self._feed(kind + "max_context_len", layout.longest, np.int32)

    def _feed(self, name: str, values: Sequence[int] | NDArray[Any] | int, dtype: type) -> None:
        self._request.set_tensor(name, ov.Tensor(np.asarray(values, dtype)))


def _features_width(compiled: ov.CompiledModel) -> int:
    width: int = compiled.input("features").get_partial_shape()[1].get_length()
    return width


def _build(
    directory: Path, settings: Settings, cache_dir: Path | None, exact: bool, adapted: Collection[str]
) -> Loaded:
    """The model, ready to run. Raises Invalid naming the file, field or tensor."""
    return warmed(load(directory, replace(settings, adapted=Adapted(frozenset(adapted), exact)), cache_dir), exact)


def warmed(loaded: Loaded, exact: bool) -> Loaded:
    """The model after one token, over a pool that is thrown away: the plugin lays out its weights at the first step,
    and what they were made from need not stay in memory."""
    OpenVINORunner(loaded, 1, exact).step([Row([0], 0, [0], 1)])
    if loaded.weights is not None:
        loaded.weights.release()
    return loaded


def lay_out(rows: Sequence[Row]) -> Layout:
    """Rows end to end; a table is cut to the blocks that its row reaches."""
    ends = list(accumulate(len(row.tokens) for row in rows))
    reached = [row.past + len(row.tokens) for row in rows]
    tables = [row.blocks[: -(-end // BLOCK)] for row, end in zip(rows, reached, strict=True)]
    return Layout(
        ids=list(chain.from_iterable(row.tokens for row in rows)),
        positions=list(chain.from_iterable(range(row.past, end) for row, end in zip(rows, reached, strict=True))),
        past=[row.past for row in rows],
        begins=[0, *ends],
        blocks=list(chain.from_iterable(tables)),
        block_begins=[0, *accumulate(map(len, tables))],
        longest=max(reached),
        sampled=list(chain.from_iterable(range(end - row.sampled, end) for row, end in zip(rows, ends, strict=True))),
    )


def local_rows(rows: Sequence[Row], horizon: Horizon) -> list[Row]:
    """The rows as local layers see them: each begins with the first block that it still sees, and positions count from
    there; one that crosses a chunk's border becomes several."""
    return [piece for row in rows for piece in _pieces(row, horizon)]


def _pieces(row: Row, horizon: Horizon) -> Iterator[Row]:
    table, skipped = (row.blocks, 0) if row.local is None else (row.local, row.skipped)
    at, end = 0, len(row.tokens)
    while at < end:
        position = row.past + at
        first = horizon.first(position) // BLOCK
        until = min(end, at + horizon.reach - position % horizon.reach) if horizon.chunked else end
        yield Row(row.tokens[at:until], position - first * BLOCK, table[first - skipped :], 0)
        at = until


def _in_order(
    rows: Sequence[Row], parts: Sequence[Sequence[int]], runs: Sequence[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    """The logits of the parts' rows, as the rows are ordered."""
    found: dict[int, NDArray[np.float32]] = {}
    for part, logits in zip(parts, runs, strict=True):
        ends = list(accumulate(rows[at].sampled for at in part))
        found |= dict(zip(part, np.split(logits, ends[:-1]), strict=True))
    return (found[at] for at in range(len(rows)))


def _caches(compiled: ov.CompiledModel, blocks: int, local_blocks: int) -> dict[str, ov.Tensor]:
    """Every layer's cache in the precision and layout that the plugin reports."""
    ports = {port.get_any_name(): port for port in compiled.inputs}
    return {
        name: _room(port, local_blocks if name.startswith("local_") else blocks)
        for name, port in ports.items()
        if "_cache." in name
    }


def _room(port: ov.ConstOutput, blocks: int) -> ov.Tensor:
    sizes = [size.get_length() for size in list(port.get_partial_shape())[1:]]
    return ov.Tensor(port.get_element_type(), ov.Shape([blocks, *sizes]))


def _memory(caches: Mapping[str, ov.Tensor], local: bool) -> list[Memory]:
    """The bytes of each layer's cache [blocks, bytes of a block], of the local layers or of the others."""
    tensors = [tensor for name, tensor in caches.items() if name.startswith("local_") == local]
    return [tensor.data.view(np.uint8).reshape(tensor.shape[0], -1) for tensor in tensors]
