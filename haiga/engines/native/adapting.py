"""The adapters of a runner: which of them a step's rows have, laid out as the graph reads them.

Rule: an adapter's weights come to the graph when a row first has it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.ports import Row
from haiga.models.adapters import Bank, split
from haiga.models.adapters.products import BACK, ROWS, SLOTS, A, B

Ints = NDArray[np.int32]


class Adapting:
    """For a graph with products for adapters, of which `slots` are at hand at once. exact: every token has copies."""

    def __init__(self, compiled: ov.CompiledModel, slots: int, exact: bool) -> None:
        widths = _widths(compiled)
        self._exact = exact
        self._bank = Bank(widths, slots)
        self.layers = frozenset(name.removeprefix(A) for name in widths if name.startswith(A))
        self._shown: tuple[int, int, int] | None = None

    def parts(self, rows: Sequence[Row]) -> list[list[int]]:
        """The rows in parts that are run one after another; nearly always there is one."""
        lengths = [0 if self._exact else len(row.tokens) for row in rows]
        return split([row.adapter.key if row.adapter else None for row in rows], lengths, self._bank.slots)

    def inputs(self, rows: Sequence[Row]) -> Iterator[tuple[str, ov.Tensor]]:
        """What is new to the graph when it runs the rows of one part."""
        seats = self._bank.seat({row.adapter.key: row.adapter for row in rows if row.adapter})
        own = [seats[row.adapter.key] if row.adapter else 0 for row in rows]
        slots = np.repeat(np.asarray(own, np.int32), [len(row.tokens) for row in rows])
        first = 0 if self._exact else min(own)
        last = max(own) + 1
        yield from self._show(first, last)
        if self._exact:
            yield SLOTS, ov.Tensor(slots)
            return
        places, back = lay_by_slot(slots, first, last)
        yield ROWS, ov.Tensor(places)
        yield BACK, ov.Tensor(back)

    def _show(self, first: int, last: int) -> Iterator[tuple[str, ov.Tensor]]:
        shown = (first, last, self._bank.rank)
        if shown != self._shown:
            self._shown = shown
            yield from self._bank.tensors(first, last)


def lay_by_slot(slots: Ints, first: int, last: int) -> tuple[Ints, Ints]:
    """For tokens in `slots` [T], of `first` to `last` - 1: which are in each slot [slots, M], and where among them each
    token is [T]. Those of slot 0, which holds nothing, all share its first place."""
    if last == 1:
        return np.zeros((1, 1), np.int32), np.zeros(1, np.int32)
    counts = np.bincount(slots - first, minlength=last - first)
    if first == 0:
        counts[0] = 0
    most = counts.max()
    order = np.argsort(slots, kind="stable")
    order = order[slots[order] > 0]
    own = slots[order] - first
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    places, back = np.zeros((last - first, most), np.int32), np.zeros(len(slots), np.int32)
    places[own, within] = order
    back[order] = own * most + within
    return places, back


def _widths(compiled: ov.CompiledModel) -> dict[str, int]:
    """The inputs that factors go to, and how wide they are."""
    ports = {port.get_any_name(): port for port in compiled.inputs}
    return {name: port.get_partial_shape()[2].get_length() for name, port in ports.items() if name.startswith((A, B))}
