"""A picture as a model reads it: decoded, turned upright, opaque.

Rule: whoever takes a picture in makes one of these of it; nobody after that meets a file format. Equal digests are
equal pictures, whatever file each came from.
"""

from dataclasses import dataclass, field
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Picture:
    """`rgb`: 8 bits for each of red, green and blue, rows from the top, height * width * 3 bytes. `digest`: SHA-256
    over size and pixels, in hexadecimal."""

    rgb: bytes = field(repr=False)
    width: int
    height: int
    digest: str

    @classmethod
    def of(cls, rgb: bytes, width: int, height: int) -> "Picture":
        """The picture with its digest. Raises ValueError where the pixels are not as many as the size says."""
        if len(rgb) != height * width * 3:
            raise ValueError(f"{len(rgb)} bytes are no {width}x{height} picture")
        size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        return cls(rgb, width, height, sha256(size + rgb).hexdigest())
