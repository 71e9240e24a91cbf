"""A Hugging Face directory read lazily: config.json and safetensors, in one file or in shards.

Rule: tensors are read from a memory map when asked for, never before, and every problem is one line that names the
file or the tensor. Format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header of
{name: {dtype, shape, data_offsets}}, then the data; little endian throughout).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid
from haiga.models.fields import read_fields

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_LARGEST_HEADER = 100 << 20  # the limit of the safetensors library itself
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_READABLE = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies: `begin` is a byte offset in the file, `dtype` as safetensors writes it."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int


class Checkpoint:
    """The tensors of one directory by name, and its config.json as `config`.

    Raises Invalid (one line, naming file or tensor) for a missing or damaged file here, and for a missing tensor,
    a wrong shape, an unreadable type or numbers that are not finite when a tensor is read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = read_fields(directory / "config.json")
        self._entries: dict[str, Entry] = {}
        for file in self.files():
            self._entries |= _read_header(file)
        self._maps: dict[Path, NDArray[np.uint8]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def files(self) -> list[Path]:
        """The weight files: every shard that the index names, or the single file."""
        index = self.directory / INDEX
        return _shards(index) if index.exists() else [self.directory / SINGLE]

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape, without reading it."""
        return self._entry(name).shape

    def dtype(self, name: str) -> str:
        """The tensor's type as safetensors writes it (BF16, F16, F32), without reading it."""
        return self._entry(name).dtype

    def stored(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The tensor as it lies in the file, a view of the map; bfloat16 comes as its 16 bits in uint16.

        The view is copy-on-write: OpenVINO shares only memory that it may write to.
        """
        entry = self._entry(name)
        if entry.shape != shape:
            raise Invalid(f"{entry.file}: tensor {name} has shape {list(entry.shape)}, expected {list(shape)}")
        if entry.dtype not in _READABLE:
            raise Invalid(f"{entry.file}: tensor {name} is {entry.dtype}; readable are {', '.join(_READABLE)}")
        if entry.file not in self._maps:
            self._maps[entry.file] = np.memmap(entry.file, np.uint8, "c")
        size = int(np.prod(shape, dtype=np.int64)) * _WIDTHS[entry.dtype]
        raw = self._maps[entry.file][entry.begin : entry.begin + size]
        return np.frombuffer(raw, _READABLE[entry.dtype]).reshape(shape)

    def read(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The tensor as float32 (a copy, or a view of the map where the file holds float32)."""
        values = self.stored(name, shape)
        if self.dtype(name) == "BF16":
            values = decode_bf16(values)
        values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise Invalid(f"{self._entry(name).file}: tensor {name} holds numbers that are not finite")
        return values

    def close(self) -> None:
        """Let the maps go; arrays read before keep theirs."""
        self._maps.clear()

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise Invalid(f"{self.directory}: tensor {name} is missing")
        return self._entries[name]


def decode_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def encode_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even; the 16 bits as uint16. Finite numbers only."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def check_vocabulary(highest_id: int, vocabulary: int, directory: Path) -> None:
    """Raise Invalid when the tokenizer can make a token (`highest_id`) that the model has no row for."""
    if highest_id >= vocabulary:
        raise Invalid(
            f"{directory}: the tokenizer's highest token id is {highest_id}, "
            f"but the model's vocabulary (vocab_size) has {vocabulary} entries"
        )


def _shards(index: Path) -> list[Path]:
    table = read_fields(index).object("weight_map")
    if table is None:
        raise Invalid(f"{index}: weight_map is missing")
    names = sorted({str(name) for name in table.values()})
    for name in names:
        # a shard is a plain file name: an index from elsewhere must not reach out of its directory
        if Path(name).name != name or name in {"", ".", ".."} or "\\" in name:
            raise Invalid(f"{index}: shard {name!r} is not a file name in this directory")
        if not (index.parent / name).is_file():
            raise Invalid(f"{index.parent / name}: there is no such file (named by {INDEX})")
    return [index.parent / name for name in names]


def _read_header(file: Path) -> dict[str, Entry]:
    try:
        total = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if total < 8 or length > min(total - 8, _LARGEST_HEADER):
                raise Invalid(f"{file}: damaged or truncated (its header does not fit into the file)")
            header = json.loads(stream.read(length))
    except FileNotFoundError:
        raise Invalid(f"{file}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise Invalid(f"{file}: damaged (its header cannot be read: {problem})") from None
    if not isinstance(header, dict):
        raise Invalid(f"{file}: damaged (its header is no JSON object)")
    data = total - 8 - length
    return {name: _entry(file, name, at, 8 + length, data) for name, at in header.items() if name != "__metadata__"}


def _entry(file: Path, name: str, at: Any, start: int, data: int) -> Entry:
    """Check one header entry against the file's real size (`data` bytes from `start` on)."""
    try:
        dtype, shape = str(at["dtype"]), tuple(int(size) for size in at["shape"])
        begin, end = (int(offset) for offset in at["data_offsets"])
    except (TypeError, KeyError, ValueError):
        raise Invalid(f"{file}: damaged (header entry of tensor {name})") from None
    if not 0 <= begin <= end <= data:
        raise Invalid(f"{file}: damaged or truncated (tensor {name} ends at byte {end} of {data})")
    width = _WIDTHS.get(dtype)
    if width is not None and (min(shape, default=1) < 0 or np.prod(shape, dtype=object) * width != end - begin):
        raise Invalid(f"{file}: damaged (tensor {name} of shape {list(shape)} has {end - begin} bytes)")
    return Entry(file, dtype, shape, start + begin)
