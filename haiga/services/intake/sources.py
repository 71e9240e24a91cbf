"""The bytes that a block names: those it carries, or those behind its URL.

Rule: what is too large is refused before it is copied, and what is no base64 is refused, never repaired.
"""

import asyncio
import re
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import sha256

from haiga.core.errors import HaigaError, Invalid
from haiga.core.messages import Base64Source, UrlSource
from haiga.services.fetch import Bounds, Fetch

BLANKS = re.compile(r"\s+")
LARGE = 1 << 18  # characters of base64 from which on decoding takes a thread
PATIENCE = 30.0  # seconds for a URL's whole answer


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes, the SHA-256 of them, and the media type that they are said to have."""

    data: bytes
    digest: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source is to be: `noun` names it, `size` is its most bytes, as they were sent, and `types` the media types
    that a server may tell."""

    noun: str
    size: int
    types: tuple[str, ...]


async def content_of(source: Base64Source | UrlSource, fetch: Fetch, wanted: Wanted, field: str) -> Content:
    """What `source` has; `field` is its path. Raises Invalid, TooLarge, Unsupported."""
    if isinstance(source, UrlSource):
        return await _fetched(source.url, fetch, wanted, field)
    if (size := len(source.data)) > wanted.size:
        raise Invalid(
            f"{wanted.noun} exceeds {wanted.size / (1 << 20):g} MB maximum: {size} bytes > {wanted.size} bytes",
            field=field,
        )
    try:
        data, digest = await _off_loop(source.data)
    except (NotBase64, ValueError):
        raise Invalid("Invalid base64 data", field=f"{field}.data") from None
    return Content(data, digest, source.media_type.lower())


async def _off_loop(text: str) -> tuple[bytes, bytes]:
    return _decoded(text) if len(text) < LARGE else await asyncio.to_thread(_decoded, text)


def _decoded(text: str) -> tuple[bytes, bytes]:
    if BLANKS.search(text, 0, 200):
        text = BLANKS.sub("", text)  # in lines, as in mail
    data = b64decode(text, validate=True)
    return data, sha256(data).digest()


async def _fetched(url: str, fetch: Fetch, wanted: Wanted, field: str) -> Content:
    try:
        found = await fetch.get(url, types=wanted.types, bounds=Bounds(wanted.size, total=PATIENCE))
    except HaigaError as error:
        error.field = field
        raise
    digest = await asyncio.to_thread(lambda: sha256(found.body).digest())
    return Content(found.body, digest, found.content_type)
