"""A KV block in a file of its own.

Rule: a file is written whole under another name, then renamed, and never changed. It says what made it (weights, cache
precision, the block's layout) and which block it is, under a checksum of all that and of the bytes themselves: what is
read is what was written, or nothing. Only its owner may read it (mode 0600).

    haiga kv 1 LF | length of the identity (4 bytes) | identity (JSON) | address (32) | SHA-256 (32) | keys and values
"""

import mmap
import os
import stat
from hashlib import sha256
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

Content = NDArray[np.uint8]

_MAGIC = b"haiga kv 1\n"
_LENGTH = Struct("<I")
_ADDRESS, _SUM = 32, 32


def write_block(path: Path, identity: bytes, address: bytes, content: Content) -> None:
    """Make the file, and the folder that it lies in. Raises OSError, and leaves no file then."""
    head = _head(identity, address)
    parts = [memoryview(head), memoryview(_sum(head, content)), content.data]
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for part in parts:
                _write_all(file.fileno(), part)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def file_size(identity: bytes, size: int) -> int:
    """Of a block of `size` bytes."""
    return len(_head(identity, bytes(_ADDRESS))) + _SUM + size


def _write_all(descriptor: int, part: memoryview) -> None:
    while part:
        part = part[os.write(descriptor, part) :]


def read_block(path: Path, identity: bytes, address: bytes, size: int) -> Content | None:
    """The bytes, mapped; None where the file holds anything but this block as it was written. Raises OSError."""
    head = _head(identity, address)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != len(head) + _SUM + size:
            return None
        mapped = mmap.mmap(descriptor, found.st_size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ)
    finally:
        os.close(descriptor)
    content = np.frombuffer(mapped, np.uint8, offset=len(head) + _SUM)
    whole = mapped[: len(head)] == head and mapped[len(head) : len(head) + _SUM] == _sum(head, content)
    return content if whole else None


def _head(identity: bytes, address: bytes) -> bytes:
    return _MAGIC + _LENGTH.pack(len(identity)) + identity + address


def _sum(head: bytes, content: Content) -> bytes:
    digest = sha256(head)
    digest.update(content.data)
    return digest.digest()
