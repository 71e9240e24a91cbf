"""A Cold without disk: what was put is in a dictionary, and comes back when the test lets it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from haiga.batching.cold import Fetch

Content = NDArray[np.uint8]


class ColdStore:
    """lost: which fetches are told to have failed, by their number; at_once: blocks per call of `arrived`."""

    def __init__(self, lost: Callable[[int], bool] = lambda number: False, at_once: int = 1 << 30) -> None:
        self.kept: dict[tuple[bytes, bool], Content] = {}
        self.asked: list[Fetch] = []
        self.ended: list[tuple[bytes, bool]] = []
        self.full = False
        self.capacity = 1 << 30
        self.stats: Mapping[str, int] = {}
        self.closed = False
        self.fetched = 0
        self.wake: Callable[[], None] = lambda: None
        self._lost, self._at_once = lost, at_once

    def has(self, address: bytes, local: bool) -> bool:
        return (address, local) in self.kept

    def wants(self, address: bytes, local: bool) -> bool:
        return not self.full and not self.has(address, local)

    def put(self, address: bytes, local: bool, content: Content) -> None:
        self.kept[address, local] = content

    def fetch(self, fetches: Sequence[Fetch]) -> None:
        self.asked += fetches
        self.wake()

    def arrived(self) -> list[tuple[Fetch, Content | None]]:
        now, self.asked = self.asked[: self._at_once], self.asked[self._at_once :]
        return [(fetch, self._content(fetch)) for fetch in now if not fetch.dropped]

    def _content(self, fetch: Fetch) -> Content | None:
        self.fetched += 1
        if self._lost(self.fetched):
            self.kept.pop((fetch.address, fetch.local), None)
        return self.kept.get((fetch.address, fetch.local))

    def used(self, blocks: Sequence[tuple[bytes, bool]]) -> None:
        self.ended += blocks

    def clear(self) -> None:
        self.kept.clear()

    def close(self, patience: float) -> None:
        self.closed = True
