"""The blocks of one engine on their way to files and back: the loop's side of a shelf.

Rule: the loop only looks things up and hands things over. One thread writes, one reads; what waits to be written is
bounded, and what comes when there is no room is dropped, to be offered again when the engine is idle. A disk that fails
costs nothing but what it would have kept.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, Queue, SimpleQueue
from typing import Protocol

from haiga.batching.cold import Fetch
from haiga.engines.native.tier.files import Content
from haiga.engines.native.tier.shelf import Shelf

log = logging.getLogger(__name__)

_WATCH = 2.0  # seconds between two looks for owners that were deleted
_PATIENCE = 60.0  # seconds that clearing may take
_AT_ONCE = 32 << 20  # bytes that come back between two steps

_Block = tuple[bytes, bool]


class Listener(Protocol):
    """The loop, as far as it is told."""

    def wake(self) -> None:
        """Blocks have arrived."""

    def forget(self, owner: bytes) -> None:
        """What is held of this owner is to go."""


class Tier:
    """size: bytes of a block of the pool and its local layers together; room: bytes that may wait to be written."""

    def __init__(self, shelf: Shelf, size: int, room: int) -> None:
        self._shelf = shelf
        self._work: Queue[Callable[[], None] | None] = Queue()
        self._waiting: dict[_Block, float] = {}
        self._most = max(2, room // size)
        self._fetches: SimpleQueue[Fetch | None] = SimpleQueue()
        self._arrived: Queue[tuple[Fetch, Content | None]] = Queue(max(2, _AT_ONCE // size))
        self._dropped = self._damaged = 0
        self._open = True
        self._told = False

    def start(self, listener: Listener) -> None:
        """Begin to write and read."""
        self._listener = listener
        for name, work in (("kv write", self._write_all), ("kv read", self._read_all)):
            threading.Thread(target=work, name=name, daemon=True).start()

    # -- on the loop's thread ----------------------------------------------------------------------------------------

    def has(self, address: bytes, local: bool) -> bool:
        return self._shelf.has(address, local)

    def wants(self, address: bytes, local: bool) -> bool:
        if not self._open or self._shelf.has(address, local) or (address, local) in self._waiting:
            return False
        self._dropped += self.full
        return not self.full

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._most

    def put(self, address: bytes, local: bool, content: Content) -> None:
        self._waiting[address, local] = time.time()
        self._work.put(lambda: self._write(address, local, content))

    def fetch(self, fetches: Sequence[Fetch]) -> None:
        for each in fetches:
            self._fetches.put(each)

    def arrived(self) -> list[tuple[Fetch, Content | None]]:
        return [self._arrived.get() for _ in range(self._arrived.qsize())]

    def used(self, blocks: Sequence[_Block]) -> None:
        self._work.put(lambda: self._shelf.touch(blocks))

    def clear(self) -> None:
        self._waiting.clear()
        self._work.put(self._shelf.clear)
        self._catch_up(_PATIENCE)

    def close(self, patience: float) -> None:
        self._open = False
        self._catch_up(patience)
        self._work.put(None)
        self._fetches.put(None)

    def _catch_up(self, patience: float) -> None:
        """Wait until what was handed over so far is done."""
        done = threading.Event()
        self._work.put(done.set)
        done.wait(patience)

    @property
    def capacity(self) -> int:
        return self._shelf.capacity

    @property
    def stats(self) -> Mapping[str, int]:
        return {
            "disk_bytes": self._shelf.total,
            "disk_evicted": self._shelf.evicted,
            "disk_dropped": self._dropped,
            "disk_damaged": self._damaged,
        }

    # -- on threads of its own ---------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        look = 0.0
        while True:
            try:
                work = self._work.get(timeout=_WATCH)
            except Empty:
                work = _nothing
            if work is None:
                return
            try:
                work()
                if time.monotonic() > look:
                    look = time.monotonic() + _WATCH
                    self._forget_deleted()
            except OSError as problem:
                self._fail(problem)

    def _write(self, address: bytes, local: bool, content: Content) -> None:
        since = self._waiting.get((address, local))
        if since is None:  # cleared meanwhile
            return
        try:
            self._dropped += not self._shelf.write(address, local, content, since)
        finally:
            self._waiting.pop((address, local), None)

    def _fail(self, problem: OSError) -> None:
        self._dropped += 1
        if not self._told:  # once: a full disk fails for every block
            self._told = True
            log.warning("keys and values cannot be kept in files: %s", problem)

    def _forget_deleted(self) -> None:
        for owner in self._shelf.deleted():
            self._listener.forget(owner)

    def _read_all(self) -> None:
        while fetch := self._fetches.get():
            if not fetch.dropped:
                self._arrived.put((fetch, self._read(fetch)))
                self._listener.wake()

    def _read(self, fetch: Fetch) -> Content | None:
        try:
            content = self._shelf.read(fetch.address, fetch.local)
        except OSError:  # evicted, or the disk cannot be read
            return None
        self._damaged += content is None
        return content


def _nothing() -> None:
    """Nothing to write just now."""
