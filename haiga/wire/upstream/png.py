"""A picture as a file again, for servers that read files (PNG, W3C recommendation of 2003)."""

import struct
import zlib
from base64 import b64encode

from haiga.core.messages import Base64Source
from haiga.core.pictures import Picture

HEAD = b"\x89PNG\r\n\x1a\n"


def as_file(picture: Picture) -> Base64Source:
    """8 bits a colour, nothing filtered, compressed a little."""
    row = picture.width * 3
    lines = b"".join(b"\0" + picture.rgb[at : at + row] for at in range(0, len(picture.rgb), row))
    size = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    png = HEAD + _chunk(b"IHDR", size) + _chunk(b"IDAT", zlib.compress(lines, 1)) + _chunk(b"IEND", b"")
    return Base64Source("image/png", b64encode(png).decode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
