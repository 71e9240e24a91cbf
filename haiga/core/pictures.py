"""A picture as a model reads it: decoded, turned upright, opaque; and where one stands in a prompt.

Rule: whoever takes a picture in makes one of these of it; nobody after that meets a file format. Equal digests are
equal pictures, whatever file each came from.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Span: TypeAlias = tuple[int, int]
Grid: TypeAlias = tuple[int, int]


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


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture in a prompt. `spans`: where the tokens are that stand for it, as (first place, how many). `grid`: rows
    and columns of what they show, where the model's positions count in both; else None."""

    picture: Picture
    spans: tuple[Span, ...]
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture in a sequence, as its model's decoder takes it: `features` [tokens of all spans, width] go where their
    embeddings would. `mutual`: its tokens see each other, so each span runs in one step. The others as in `Placed`."""

    digest: bytes
    spans: tuple[Span, ...]
    features: "NDArray[np.float32]" = field(repr=False, compare=False)
    grid: Grid | None = None
    mutual: bool = False

    @property
    def first(self) -> int:
        """The first place of its tokens."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """The place behind its last token."""
        first, count = self.spans[-1]
        return first + count
