"""Pictures of jobs as blobs: those that a request brings as they are, those that are made as files.

Rule: the blob of a picture that was brought has the picture's own digest as its name.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import orjson

from haiga.core.files import Blob
from haiga.core.flat import flat, unflat
from haiga.core.images import ImageRequest, Painted
from haiga.core.painting import ImageJob, KeptPicture
from haiga.core.pictures import Picture
from haiga.core.ports import BlobStore
from haiga.services.images.encoding import MEDIA_TYPES, QUALITY, Kind, encode
from haiga.text.image_prompts import infotext

SIDE = 4  # bytes of each of a picture's sides


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job is to do, and as which kind of file its pictures are kept; quality: of 100, in JPEG and WebP."""

    request: ImageRequest
    kind: Kind = "png"
    quality: int = QUALITY


def write_asked(asked: Asked) -> tuple[bytes, list[Picture]]:
    """As JSON, and its pictures."""
    told, pictures = flat(asked)
    return orjson.dumps(told), pictures


class Keeping:
    """Pictures in `blobs`."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @asynccontextmanager
    async def inputs(self, pictures: Sequence[Picture]) -> AsyncIterator[None]:
        """While these are kept: whoever needs them writes that down before the block ends."""
        async with AsyncExitStack() as stack:
            for picture in pictures:
                draft = await stack.enter_async_context(self._blobs.draft())
                await draft.write(picture.width.to_bytes(SIDE, "big") + picture.height.to_bytes(SIDE, "big"))
                await draft.write(picture.rgb)
                await draft.keep()
            yield

    @asynccontextmanager
    async def result(self, painted: Painted, asked: Asked) -> AsyncIterator[KeptPicture]:
        """While a picture that was made is kept, as in `inputs`."""
        picture = painted.picture
        file = await asyncio.to_thread(encode, picture, asked.kind, infotext(painted.parameters), asked.quality)
        async with self._blobs.draft() as draft:
            await draft.write(file)
            blob: Blob = await draft.keep()
            size, media = (picture.width, picture.height), MEDIA_TYPES[asked.kind]
            seed, parameters, reason = painted.seed, painted.parameters, painted.reason
            yield KeptPicture(blob.digest, blob.size, media, *size, seed, parameters, reason)

    async def asked(self, job: ImageJob) -> Asked:
        """What a job is to do. Raises Failed where a picture is not there any more."""
        pictures = [_picture(await self.read(digest), digest) for digest in job.inputs]
        asked: Asked = unflat(Asked, orjson.loads(job.asked), pictures)
        return asked

    async def read(self, digest: str) -> bytes:
        """A blob's bytes. Raises Failed."""
        return b"".join([piece async for piece in self._blobs.read(digest)])


def _picture(kept: bytes, digest: str) -> Picture:
    width, height = (int.from_bytes(kept[at : at + SIDE], "big") for at in (0, SIDE))
    return Picture(kept[2 * SIDE :], width, height, digest)
