"""The adapters that a graph has at hand: a few slots, in memory that the graph reads as it lies.

Rule: a slot is filled when its adapter is first wanted, and given to another when it is the one used longest ago. Slot
0 holds nothing: zeros, for tokens of the base alone. Adapters of a smaller rank are filled up with zeros.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping

import numpy as np
import openvino as ov

from haiga.core.ports import Adapter
from haiga.models.adapters.products import A, B
from haiga.models.adapters.widen import Floats


class Bank:
    """`slots` adapters at once, for graph inputs of these names and widths (`lora_A.LAYER`, `lora_B.LAYER`)."""

    def __init__(self, widths: Mapping[str, int], slots: int) -> None:
        self._widths, self._slots = dict(widths), slots
        self._layers = [name.removeprefix(A) for name in widths if name.startswith(A)]
        self._rank = 1
        self._nothing = {name: np.zeros((1, 1, width), np.float32) for name, width in widths.items()}
        self._held = self._room()
        self._seats: OrderedDict[str, int] = OrderedDict()  # least recently used first

    @property
    def slots(self) -> int:
        """How many adapters it holds at once."""
        return self._slots

    @property
    def rank(self) -> int:
        """The largest rank that there is room for."""
        return self._rank

    def seat(self, wanted: Mapping[str, Adapter]) -> dict[str, int]:
        """The slots of these adapters, by key, at most `slots` of them; they are filled if they were not."""
        for key in wanted:
            if key in self._seats:
                self._seats.move_to_end(key)
        for key, adapter in wanted.items():
            if key not in self._seats:
                self._fill(adapter, wanted)
        return {key: self._seats[key] for key in wanted}

    def tensors(self, first: int, last: int) -> Iterator[tuple[str, ov.Tensor]]:
        """What the graph reads for slots first to last - 1; for slot 0 alone a rank of one will do."""
        for name, held in (self._nothing if last <= 1 else self._held).items():
            yield name, ov.Tensor(held[first:last], shared_memory=True)

    def _fill(self, adapter: Adapter, wanted: Mapping[str, Adapter]) -> None:
        if (rank := max(adapter.ranks.values())) > self._rank:
            self._widen(rank)
        slot = self._free_slot(wanted)
        for layer in self._layers:
            pair, rank = [self._held[kind + layer][slot] for kind in (A, B)], adapter.ranks.get(layer, 0)
            if rank:
                adapter.write(layer, *(factor[:rank] for factor in pair))
            for factor in pair:
                factor[rank:] = 0
        self._seats[adapter.key] = slot

    def _free_slot(self, wanted: Mapping[str, Adapter]) -> int:
        free = set(range(1, self._slots + 1)) - set(self._seats.values())
        if free:
            return min(free)
        return self._seats.pop(next(key for key in self._seats if key not in wanted))

    def _widen(self, rank: int) -> None:
        """Make room for a larger rank; what is held stays."""
        before, self._rank = self._held, rank
        self._held = self._room()
        for name, held in before.items():
            self._held[name][:, : held.shape[1]] = held

    def _room(self) -> dict[str, Floats]:
        """Pages that nobody has written to yet take no memory."""
        return {
            name: np.zeros((self._slots + 1, self._rank, width), np.float32) for name, width in self._widths.items()
        }
