"""The GGUF container: metadata and where each tensor lies, read from a memory map.

Rule: every length is held against what is left of the file before anything is read or made, so that no file, however
damaged, takes more memory than its own size or ends in anything but one line that names it and the field.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little endian).
"""

import mmap
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from haiga.core.errors import Invalid
from haiga.models.files import open_regular
from haiga.models.gguf.blocks import TYPES
from haiga.models.weights.entry import Entry

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_INTEGERS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 10: "<u8", 11: "<i8"}
_NUMBERS = {**_INTEGERS, 6: "<f4", 7: "?", 12: "<f8"}
_STRING, _ARRAY = 8, 9
_LEAST_FIELD, _LEAST_TENSOR = 13, 32  # bytes of the shortest metadata field and tensor entry
_LONGEST_NAME, _LONGEST_TEXT = 1 << 12, 1 << 24  # bytes
_LONGEST_LIST = 1 << 22  # entries
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


class Listed(list[Any]):
    """A list of metadata, which an error names without spelling it out."""

    def __repr__(self) -> str:
        return f"a list of {len(self)}"


@dataclass(frozen=True, slots=True)
class Container:
    """One file: `metadata` values are int, float, bool, str or lists of them; `entries` by the names that llama.cpp
    gives, shapes outermost first."""

    file: Path
    metadata: dict[str, Any]
    entries: dict[str, Entry]


def is_gguf(path: Path) -> bool:
    """Whether `path` is a GGUF file by its name."""
    return path.suffix == ".gguf" and not path.is_dir()


def part_files(path: Path) -> list[Path]:
    """Every file of a model that may be split (`name-00001-of-00003.gguf`); `path` is any of them."""
    match = _PART.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match[3])
    if not 1 <= int(match[2]) <= count:
        raise Invalid(f"{path}: no part of a split model has this number")
    return [path.with_name(f"{match[1]}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]


def read_container(file: Path) -> Container:
    """Read one file's header. Raises Invalid naming the file and what in it is wrong."""
    try:
        with open_regular(file) as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return _Reader(file, view).container()
    except FileNotFoundError:
        raise Invalid(f"{file}: there is no such file") from None
    except (OSError, ValueError) as problem:  # an empty file cannot be mapped
        raise Invalid(f"{file}: cannot be read ({problem})") from None


class _Reader:
    """A place in the file; `what` is being read names the field when it does not fit."""

    def __init__(self, file: Path, view: mmap.mmap) -> None:
        self._file, self._view, self._size = file, view, len(view)
        self._at = 0

    def container(self) -> Container:
        tensors, fields = self._head()
        metadata: dict[str, Any] = {}
        for _ in range(fields):
            name = self._name("the name of a metadata field")
            if name in metadata:
                raise self._damaged(f"{name} stands in it twice")
            metadata[name] = self._value(name, self._integer("<I", name))
        return Container(self._file, metadata, self._tensors(tensors, _alignment(self._file, metadata)))

    def _head(self) -> tuple[int, int]:
        """How many tensors and metadata fields there are."""
        if self._view[:4] != _MAGIC:
            raise Invalid(f"{self._file}: no GGUF file (it does not begin with {_MAGIC.decode()})")
        self._at = 4
        version = self._integer("<I", "the version")
        if version not in _VERSIONS:
            swapped = " (big endian)" if version & 0xFFFF == 0 and version else ""
            raise Invalid(f"{self._file}: GGUF version {version}{swapped} is not supported; supported: 2 and 3")
        tensors = self._count("the number of tensors", _LEAST_TENSOR)
        return tensors, self._count("the number of metadata fields", _LEAST_FIELD)

    def _tensors(self, count: int, alignment: int) -> dict[str, Entry]:
        found = [self._tensor() for _ in range(count)]
        start = -(-self._at // alignment) * alignment
        entries: dict[str, Entry] = {}
        for name, entry in found:
            begin = start + entry.begin
            if begin + entry.size > self._size:
                raise self._damaged(f"tensor {name} ends at byte {begin + entry.size} of {self._size}")
            if name in entries:
                raise self._damaged(f"tensor {name} stands in it twice")
            entries[name] = Entry(self._file, entry.dtype, entry.shape, begin, entry.size)
        return entries

    def _tensor(self) -> tuple[str, Entry]:
        """A tensor's name, type, shape and size; its place is counted from where the data begins."""
        name = self._name("the name of a tensor")
        what = f"tensor {name}"
        rank = self._integer("<I", what)
        if not 1 <= rank <= 4:
            raise self._damaged(f"{what} has {rank} dimensions")
        shape = tuple(self._integer("<Q", what) for _ in range(rank))[::-1]
        number, begin = self._integer("<I", what), self._integer("<Q", what)
        kind = TYPES.get(number)
        if kind is None:
            raise Invalid(f"{self._file}: {what} is of an unknown type ({number})")
        if min(shape) < 1 or shape[-1] % kind.weights:
            raise self._damaged(f"{what} of shape {list(shape)} cannot be {kind.name}")
        return name, Entry(self._file, kind.name, shape, begin, prod(shape) // kind.weights * kind.size)

    def _value(self, name: str, kind: int) -> Any:
        if kind == _STRING:
            return self._string(name, _LONGEST_TEXT)
        if kind == _ARRAY:
            return self._array(name)
        return self._numbers(name, kind, 1)[0]

    def _array(self, name: str) -> Any:
        kind = self._integer("<I", name)
        if kind == _STRING:
            return self._strings(name, self._count(name, 8))
        if kind not in _NUMBERS:
            raise self._damaged(f"{name} is a list of an unknown type ({kind})")
        return Listed(self._numbers(name, kind, self._count(name, 1)))

    def _numbers(self, name: str, kind: int, count: int) -> list[Any]:
        if kind not in _NUMBERS:
            raise self._damaged(f"{name} is of an unknown type ({kind})")
        dtype: np.dtype[Any] = np.dtype(_NUMBERS[kind])
        numbers: list[Any] = np.frombuffer(self._take(count * dtype.itemsize, name), dtype).tolist()
        return numbers

    def _strings(self, name: str, count: int) -> Listed:
        """As `_string`, for the hundreds of thousands that a vocabulary has."""
        view, at, length_of = self._view, self._at, struct.Struct("<Q").unpack_from
        found = Listed()
        for _ in range(count):
            begin = at + 8
            end = begin + length_of(view, at)[0] if begin <= self._size else begin
            if end > self._size:
                raise self._damaged(f"it ends within {name}")
            found.append(view[begin:end].decode("utf-8", "replace"))
            at = end
        self._at = at
        return found

    def _name(self, what: str) -> str:
        """A name that an error can spell."""
        name = self._string(what, _LONGEST_NAME)
        if not name.isprintable():
            raise self._damaged(f"{what} is {name!a}")
        return name

    def _string(self, what: str, longest: int) -> str:
        length = self._integer("<Q", what)
        if length > longest:
            raise self._damaged(f"{what} claims {length} bytes")
        return self._take(length, what).decode("utf-8", "replace")

    def _count(self, what: str, least: int) -> int:
        """A count of things that take at least `least` bytes each."""
        count = self._integer("<Q", what)
        if count > _LONGEST_LIST or count * least > self._size - self._at:
            raise self._damaged(f"{what} claims {count} entries, more than the file has room for")
        return count

    def _integer(self, form: str, what: str) -> int:
        number: int = struct.unpack(form, self._take(struct.calcsize(form), what))[0]
        return number

    def _take(self, size: int, what: str) -> bytes:
        if size > self._size - self._at:
            raise self._damaged(f"it ends within {what}")
        self._at += size
        return self._view[self._at - size : self._at]

    def _damaged(self, problem: str) -> Invalid:
        return Invalid(f"{self._file}: damaged or truncated ({problem})")


def _alignment(file: Path, metadata: dict[str, Any]) -> int:
    """Tensor data begins at a multiple of this."""
    alignment = metadata.get("general.alignment", 32)
    if isinstance(alignment, bool) or not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise Invalid(f"{file}: general.alignment is {alignment!r}, not a power of two")
    return alignment
