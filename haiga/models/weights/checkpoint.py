"""What weights are read from, and a Hugging Face directory as such: config.json and safetensors, in one file or shards.

Rule: tensors are read from a memory map when asked for, never before, and every problem is one line that names the
file or the tensor. Format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header of
{name: {dtype, shape, data_offsets}}, then the data; little endian throughout).
"""

import json
import mmap
import os
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid
from haiga.models.fields import Fields, read_fields
from haiga.models.files import open_regular
from haiga.models.weights.entry import MXFP4, Entry
from haiga.models.weights.experts import unstack
from haiga.models.weights.packing import Grouped, Quantized, dequantize, packed_bytes

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_LARGEST_HEADER = 100 << 20  # the limit of the safetensors library itself
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_NO_NUMBER = 255  # an exponent that stands for none
_READABLE: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class Tensors:
    """A model's tensors by the names that Hugging Face gives them, and its `config` with the fields of config.json.
    `directory` is where they come from.

    Raises Invalid (one line, naming file or tensor) for a missing tensor, a wrong shape, an unreadable type or numbers
    that are not finite when a tensor is read.
    """

    def __init__(self, directory: Path, config: Fields, entries: Mapping[str, Entry]) -> None:
        self.directory, self.config = directory, config
        self._entries = entries
        self._maps: dict[Path, mmap.mmap] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, name: str) -> Entry:
        """Where the tensor lies, its shape and type; nothing is read."""
        if name not in self._entries:
            raise Invalid(f"{self.directory}: tensor {name} is missing")
        return self._entries[name]

    def expect(self, name: str, shape: tuple[int, ...]) -> Entry:
        """The tensor's entry; raises Invalid when its shape is another."""
        entry = self.entry(name)
        if entry.shape != shape:
            raise Invalid(f"{entry.file}: tensor {name} has shape {list(entry.shape)}, expected {list(shape)}")
        return entry

    def stored(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The tensor as it lies in the file, a view of the map; bfloat16 comes as its 16 bits in uint16.

        The map is copy-on-write, because OpenVINO shares only memory that it may write to.
        """
        entry = self.expect(name, shape)
        if entry.dtype not in _READABLE:
            raise Invalid(f"{entry.file}: tensor {name} is {entry.dtype}; readable are {', '.join(_READABLE)}")
        flat = self._mapped(entry, _READABLE[entry.dtype])
        return flat.reshape(shape[::-1]).T if entry.transposed else flat.reshape(shape)

    def lies_as(self, name: str, dtype: str | None) -> bool:
        """Whether `stored` gives the tensor in this type as a graph wants it, so that it can be used where it lies."""
        entry = self.entry(name)
        return entry.dtype == dtype and not entry.transposed

    def grouped(self, name: str) -> Grouped | None:
        """How the integers of a quantised tensor are held; None for floats."""
        return Grouped("f4", 32) if self.entry(name).dtype == MXFP4 else None

    def quantized(self, name: str, shape: tuple[int, ...], rows: slice) -> Quantized:
        """`rows` of a tensor that is `grouped`. Raises Invalid for scales that are not finite."""
        entry = self.entry(name)
        if entry.shape != shape or entry.scales is None:
            raise Invalid(f"{entry.file}: tensor {name} has shape {list(entry.shape)}, expected {list(shape)}")
        codes = self._mapped(entry, np.dtype(np.uint8)).reshape(shape[0], -1)[rows]
        powers = self._mapped(entry.scales, np.dtype(np.uint8)).reshape(shape[0], -1, 1)[rows]
        if (powers == _NO_NUMBER).any():
            raise Invalid(f"{entry.file}: tensor {name} has scales that are not finite")
        pairs = np.stack([codes & 0xF, codes >> 4], axis=-1)
        return Quantized(pairs.reshape(len(codes), -1, 32), powers_of_two(powers))

    def read(self, name: str, shape: tuple[int, ...], rows: slice = slice(None)) -> NDArray[np.float32]:
        """`rows` of the tensor as finite float32 (a view of the map where the file holds float32), dequantised if need
        be."""
        form = self.grouped(name)
        if form is not None and len(shape) == 2:
            return dequantize(self.quantized(name, shape, rows), form.kind)
        part = self.stored(name, shape)[rows]
        values = decode_bf16(part) if self.entry(name).dtype == "BF16" else part.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise Invalid(f"{self.entry(name).file}: tensor {name} holds numbers that are not finite")
        return values

    def kept_bytes(self) -> int:
        """What the matrices take in memory as they are: integers and their scales, floats in 32 bits, to which the
        plugin unfolds them."""
        forms = [(self.entry(name).shape, self.grouped(name)) for name in self]
        return sum(
            sum(form.sizes(*shape)) if form else packed_bytes(shape, "kept") for shape, form in forms if len(shape) == 2
        )

    def release(self) -> None:
        """Drop the files' pages from memory; views stay valid and are read again when used."""
        for each in self._maps.values():
            each.madvise(mmap.MADV_DONTNEED)

    def _mapped(self, entry: Entry, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The tensor's bytes as a flat array."""
        if entry.file not in self._maps:
            with open_regular(entry.file) as stream:
                self._maps[entry.file] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(self._maps[entry.file], dtype, entry.size // dtype.itemsize, entry.begin)


class Checkpoint(Tensors):
    """The tensors of one directory. Raises Invalid naming a file that is missing or damaged."""

    def __init__(self, directory: Path) -> None:
        config = text_fields(read_fields(directory / "config.json"))
        entries: dict[str, Entry] = {}
        for file in weight_files(directory):
            entries |= read_header(file)
        super().__init__(directory, config, unstack(entries))


def text_fields(config: Fields) -> Fields:
    """The config of the decoder of text: a model that sees pictures too keeps it in an object of its own."""
    inner = config.object("text_config")
    if inner is None:
        return config
    named = {name: value for name, value in inner.items() if value is not None and name != "architectures"}
    return Fields(config.source, {**config, **named})


def powers_of_two(exponents: NDArray[np.uint8]) -> NDArray[np.float32]:
    """2 ** (exponent - 127), the scale that MXFP4 stores in a byte."""
    return np.ldexp(np.float32(1), exponents.astype(np.int32) - 127)


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


def weight_files(directory: Path) -> list[Path]:
    """The checkpoint's files: every shard that the index names, or the single file.

    A shard is a plain file name: an index from elsewhere must not reach out of its directory.
    """
    index = directory / INDEX
    if not index.exists():
        return [directory / SINGLE]
    table = read_fields(index).object("weight_map")
    if table is None:
        raise Invalid(f"{index}: weight_map is missing")
    names = sorted({str(table[tensor]) for tensor in table})
    for name in names:
        if Path(name).name != name or name in {"", ".", ".."} or "\\" in name:
            raise Invalid(f"{index}: shard {name!r} is not a file name in this directory")
    return [directory / name for name in names]


def read_header(file: Path) -> dict[str, Entry]:
    """Every tensor of a safetensors file. Raises Invalid when the file is missing, damaged or truncated."""
    try:
        with open_regular(file) as stream:
            total = os.fstat(stream.fileno()).st_size
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
    if odd := next((name for name in header if not name.isprintable()), None):
        raise Invalid(f"{file}: damaged (a tensor is named {odd!a})")
    data = total - 8 - length
    return {name: _entry(file, name, at, 8 + length, data) for name, at in header.items() if name != "__metadata__"}


def _entry(file: Path, name: str, at: Any, start: int, data: int) -> Entry:
    """Check one header entry against the file's real size (`data` bytes from `start` on)."""
    try:
        dtype, shape = str(at["dtype"]), tuple(int(size) for size in at["shape"])
        begin, end = (int(offset) for offset in at["data_offsets"])
    except (TypeError, KeyError, ValueError, OverflowError):
        raise Invalid(f"{file}: damaged (header entry of tensor {name})") from None
    if not 0 <= begin <= end <= data:
        raise Invalid(f"{file}: damaged or truncated (tensor {name} ends at byte {end} of {data})")
    width = _WIDTHS.get(dtype)
    if width is not None and (min(shape, default=1) < 0 or prod(shape) * width != end - begin):
        raise Invalid(f"{file}: damaged (tensor {name} of shape {list(shape)} has {end - begin} bytes)")
    return Entry(file, dtype, shape, start + begin, end - begin)
