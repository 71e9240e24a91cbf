"""What the server and a decoding process say to each other: a JSON object and bytes, each after its length.

Rule: the child never reads more than one job ahead, and answers each with frames of which the last has `last` set.
"""

import json
import struct
from typing import Any, BinaryIO

HEAD = struct.Struct("!II")  # bytes of the object, bytes that follow it


def frame(head: dict[str, Any], *pieces: bytes) -> list[bytes]:
    """The pieces to be written one after another."""
    coded = json.dumps(head).encode()
    return [HEAD.pack(len(coded), sum(map(len, pieces))), coded, *pieces]


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, None at the stream's end."""
    lengths = stream.read(HEAD.size)
    if len(lengths) < HEAD.size:
        return None
    size, length = HEAD.unpack(lengths)
    return json.loads(stream.read(size)), stream.read(length)
