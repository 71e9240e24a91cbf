"""Pictures that a request brings, as base64, a data URL or a URL, to pixels.

Rule: as for text models: URLs through the guarded fetcher, decoding in a process of its own, everything bounded.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from haiga.core.errors import HaigaError, Invalid
from haiga.core.media import IMAGE_TYPES, picture_kind
from haiga.core.messages import Base64Source, UrlSource
from haiga.core.pictures import Picture
from haiga.services.decoding.decoder import Decoder, PictureWish
from haiga.services.decoding.sizes import PATCH
from haiga.services.fetch import Fetch
from haiga.services.intake.room import Room
from haiga.services.intake.sources import Wanted, content_of

LARGEST_FILE = 24 << 20  # bytes, in base64 where it is sent so
MEMORY = 512 << 20  # bytes of pictures that requests have decoded at the same time
NO_PICTURE = "this is none of JPEG, PNG, GIF and WebP"
SIDE = 8192  # pixels of either side of a picture that is taken at all


@dataclass(frozen=True, slots=True)
class Fit:
    """What a picture is made smaller to: pixels of its longer side, and of all."""

    edge: int
    pixels: int

    @property
    def memory(self) -> int:
        """Bytes of a picture at most."""
        return 3 * self.pixels

    def wish(self, mask: bool) -> PictureWish:
        return PictureWish(SIDE, self.edge, self.pixels // PATCH**2, alpha=mask)


WORKED_ON = Fit(4096, 5 << 20)  # by a model, whose pictures have 4 million pixels at most
ENLARGED = Fit(4096, 16 << 20)


class Taker:
    """`fetch` gets what stands behind URLs."""

    def __init__(self, fetch: Fetch, decoder: Decoder) -> None:
        self._fetch = fetch
        self._decoder = decoder
        self._room = Room(MEMORY)

    @asynccontextmanager
    async def room(self, pictures: int, fit: Fit = WORKED_ON) -> AsyncIterator[None]:
        """Waits until there is memory for so many pictures, and has it until the block ends."""
        async with self._room.lease(pictures * fit.memory):
            yield

    async def picture(self, told: str, field: str, fit: Fit = WORKED_ON, mask: bool = False) -> Picture:
        """mask: one that is not opaque all over is meant by how opaque it is. Raises Invalid, TooLarge, Unsupported
        with the field."""
        return await self.decoded(await self.file(told, field), field, fit, mask)

    async def decoded(self, data: bytes, field: str, fit: Fit = WORKED_ON, mask: bool = False) -> Picture:
        """A file's pixels, as `picture`."""
        return await self._decoded(data, field, fit.wish(mask))

    async def _decoded(self, data: bytes, field: str, wish: PictureWish) -> Picture:
        if not picture_kind(data):
            raise Invalid(NO_PICTURE, field=field)
        try:
            return await self._decoder.picture(data, wish)
        except HaigaError as error:
            error.field = error.field or field
            raise

    async def holes(self, data: bytes, field: str) -> Picture | None:
        """White where a file's picture is transparent, black where it is opaque; None where it is so all over. Raises
        as `picture`."""
        wish = replace(WORKED_ON.wish(mask=False), holes=True)
        seen = await self._decoded(data, field, wish)
        return seen if any(seen.rgb) else None

    async def texts(self, told: str, field: str) -> dict[str, str]:
        """What a picture's file says in words. Raises as `picture`."""
        data = await self.file(told, field)
        try:
            return await self._decoder.texts(data)
        except HaigaError as error:
            error.field = error.field or field
            raise

    async def file(self, told: str, field: str) -> bytes:
        """A picture's file. Raises as `picture`."""
        content = await content_of(_source(told), self._fetch, Wanted("image", LARGEST_FILE, IMAGE_TYPES), field)
        if not picture_kind(content.data):
            raise Invalid(NO_PICTURE, field=field)
        return content.data


def _source(told: str) -> Base64Source | UrlSource:
    told = told.strip()
    if told.startswith(("http://", "https://")):
        return UrlSource(told)
    head, comma, _ = told[:200].partition(",")
    if comma and head.startswith("data:"):
        return Base64Source(head[5:].partition(";")[0], told[len(head) + 1 :])
    return Base64Source("", told)
