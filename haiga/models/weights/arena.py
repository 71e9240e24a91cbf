"""Where packed weights lie: on the heap, or in a file that the next start maps.

Rule: whoever packs asks for room by name and fills it; whoever builds a graph gets views and copies nothing. The file
is valid safetensors, written beside its final name and renamed when complete: a start never meets half of one.
"""

import contextlib
import json
import mmap
import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Failed, Invalid
from haiga.models.weights.checkpoint import read_header
from haiga.models.weights.entry import Entry

Bytes = NDArray[np.uint8]
_ALIGNMENT = 64
_PER_TENSOR = 512  # header bytes kept free for one tensor's entry


class Arena(Protocol):
    """Named stretches of memory that live as long as the arena."""

    def find(self, name: str) -> Bytes | None:
        """What was put there under `name` before."""

    def room(self, name: str, size: int) -> Bytes:
        """`size` bytes to fill under `name`."""

    def seal(self) -> None:
        """Everything is filled."""

    def release(self) -> None:
        """Drop what can be read again from disk from memory; views stay valid."""

    def discard(self) -> None:
        """It will not be filled after all."""


class Heap:
    """An arena in plain memory, for a model that is loaded once."""

    def __init__(self) -> None:
        self._held: dict[str, Bytes] = {}

    def find(self, name: str) -> Bytes | None:
        """What was put there under `name` before."""
        return self._held.get(name)

    def room(self, name: str, size: int) -> Bytes:
        """`size` bytes of new memory."""
        self._held[name] = np.empty(size, np.uint8)
        return self._held[name]

    def seal(self) -> None:
        """Nothing to write."""

    def release(self) -> None:
        """Nothing can be read again."""

    def discard(self) -> None:
        """Nothing lies on disk."""


class PackedFile:
    """A complete packed file, mapped. Raises Invalid when it is damaged."""

    def __init__(self, path: Path) -> None:
        self._entries = read_header(path)
        with path.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)  # OpenVINO shares only writable memory
        self._bytes = np.frombuffer(self._map, np.uint8)

    def find(self, name: str) -> Bytes | None:
        """The tensor's bytes, a view of the map."""
        entry = self._entries.get(name)
        return None if entry is None else self._bytes[entry.begin : entry.begin + entry.size]

    def room(self, name: str, size: int) -> Bytes:
        """A complete file has no room: the graph asks for something that was not packed."""
        raise Invalid(f"packed weights: tensor {name} ({size} bytes) is missing; remove the cache and load again")

    def seal(self) -> None:
        """It is complete."""

    def release(self) -> None:
        """Drop its pages; what is still used is read again."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def discard(self) -> None:
        """It is complete, whatever became of who read it."""


class PackedWriter:
    """A packed file in the making: at most `capacity` bytes in `tensors` stretches. Raises Failed on a full disk."""

    def __init__(self, path: Path, capacity: int, tensors: int) -> None:
        self._path, self._partial = path, path.with_suffix(f".{os.getpid()}.partial")
        self._start = _round_up(_PER_TENSOR * (tensors + 1))
        self._end = self._start
        self._entries: dict[str, Entry] = {}
        size = self._start + capacity + _ALIGNMENT * tensors
        with self._partial.open("w+b") as stream:
            try:
                os.posix_fallocate(stream.fileno(), 0, size)  # a full disk under a map would be a SIGBUS later
            except OSError as problem:
                self.discard()
                raise Failed(f"{path}: no room for {size} bytes of packed weights ({problem.strerror})") from None
            self._map = mmap.mmap(stream.fileno(), 0)
        self._bytes = np.frombuffer(self._map, np.uint8)

    def find(self, name: str) -> Bytes | None:
        """What was put there under `name` before."""
        entry = self._entries.get(name)
        return None if entry is None else self._bytes[entry.begin : entry.begin + entry.size]

    def room(self, name: str, size: int) -> Bytes:
        """The file's next `size` bytes."""
        self._entries[name] = Entry(self._partial, "U8", (size,), self._end, size)
        view = self._bytes[self._end : self._end + size]
        self._end = _round_up(self._end + size)
        return view

    def seal(self) -> None:
        """Write the header and give the file its name."""
        header = {}
        for name, at in self._entries.items():
            begin = at.begin - self._start
            header[name] = {"dtype": "U8", "shape": [at.size], "data_offsets": [begin, begin + at.size]}
        length = self._start - 8
        text = json.dumps(header).encode().ljust(length)
        self._map[: self._start] = length.to_bytes(8, "little") + text
        self._map.flush()
        os.truncate(self._partial, self._end)
        self._partial.replace(self._path)

    def release(self) -> None:
        """Drop its pages; what is still used is read again."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def discard(self) -> None:
        """Remove an unfinished file."""
        with contextlib.suppress(FileNotFoundError):
            self._partial.unlink()


def _round_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
