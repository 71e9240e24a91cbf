"""One picture or document after another, read for one request.

Rule: nothing is decided by what a file is said to be where its bytes tell more.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from haiga.core.errors import HaigaError, Invalid
from haiga.core.media import IMAGE_TYPES, PAPER_TYPES, PDF, is_pdf, is_text, picture_kind
from haiga.core.messages import Base64Source, Document, FileSource, Image, TextSource, UrlSource
from haiga.core.pictures import Picture
from haiga.services.decoding.decoder import DecodedPage, Decoder, PictureWish
from haiga.services.fetch import Fetch
from haiga.services.intake.kept import Kept
from haiga.services.intake.limits import LOW, MANY, IntakeLimits
from haiga.services.intake.sources import Content, Wanted, content_of

Pages: TypeAlias = tuple[DecodedPage, ...]
KEPT = 256 << 20  # bytes of what was decoded lately
FETCHED, FRESH = 64 << 20, 30.0  # bytes of what was fetched lately, and for how many seconds nobody is asked again


class Reader:
    """Reads what blocks name, with what was read lately kept."""

    def __init__(self, decoder: Decoder, fetch: Fetch, limits: IntakeLimits) -> None:
        self._decoder = decoder
        self._fetch = fetch
        self.limits = limits
        self._pictures: Kept[Picture] = Kept(KEPT // 2)
        self._pages: Kept[Pages] = Kept(KEPT // 2)
        self._fetched: Kept[tuple[float, Content]] = Kept(FETCHED)

    async def picture(self, block: Image, path: str, among: int) -> Picture:
        """The picture of a block, one `among` so many. Raises Invalid, TooLarge, Unsupported with its place."""
        if isinstance(block.source, Picture):
            return block.source
        field = f"{path}.image.source.{_kind(block)}"
        assert not isinstance(block.source, FileSource)
        wanted = Wanted("image", self.limits.image_size, IMAGE_TYPES)
        content = await self._content(block.source, wanted, field)
        _check_kind(content, block, f"{field}.data" if field.endswith("base64") else field)
        wish = self._wish(block, among)
        key = (content.digest, wish)
        if (kept := self._pictures.get(key)) is not None:
            return kept
        with _placed(field):
            picture = await self._decoder.picture(content.data, wish)
        self._pictures.put(key, picture, len(picture.rgb))
        return picture

    async def _content(self, source: Base64Source | UrlSource, wanted: Wanted, field: str) -> Content:
        """What a source has. Requests are often read twice, to be counted and answered: an address is asked once."""
        if not isinstance(source, UrlSource):
            return await content_of(source, self._fetch, wanted, field)
        now, key = asyncio.get_running_loop().time(), (source.url, wanted)
        kept = self._fetched.get(key)
        if kept is not None and now - kept[0] < FRESH:
            return kept[1]
        content = await content_of(source, self._fetch, wanted, field)
        self._fetched.put(key, (now, content), len(content.data))
        return content

    def _wish(self, block: Image, among: int) -> PictureWish:
        limits = self.limits
        edge = min(LOW, limits.image_edge) if block.extra.get("detail") == "low" else limits.image_edge
        side, why = limits.image_side, ""
        if among > MANY and limits.image_side_many < side:
            side, why = limits.image_side_many, " for many-image requests"
        exact = block.extra.get("transformations", {}).get("oversized_image") == "error"
        return PictureWish(side, edge, limits.image_patches, why, exact)

    async def paper(self, block: Document, path: str, sees: bool) -> str | Pages:
        """The text of a document, or its pages, with pictures of them where the model `sees`. Raises Invalid, TooLarge,
        Unsupported with its place."""
        if isinstance(block.source, TextSource):
            return block.source.text
        field = f"{path}.document.source.{_kind(block)}"
        assert isinstance(block.source, Base64Source | UrlSource)
        wanted = Wanted("document", self.limits.pdf_size, PAPER_TYPES)
        content = await self._content(block.source, wanted, field)
        with _placed(field):
            if is_pdf(content.data) or content.kind == PDF:
                return await self._read_pages(content, sees)
            return _text(content)

    async def _read_pages(self, content: Content, sees: bool) -> Pages:
        edge = self.limits.pdf_edge if sees else 0
        if (kept := self._pages.get((content.digest, edge))) is not None:
            return kept
        read = self._decoder.pages(content.data, self.limits.pdf_pages, edge)
        pages = tuple([page async for page in read])
        if not edge and not any(page.text for page in pages):
            raise Invalid("The PDF specified has no text, and this model sees no pictures of its pages.")
        size = sum(len(page.text) + (len(page.picture.rgb) if page.picture else 0) for page in pages)
        self._pages.put((content.digest, edge), pages, size)
        return pages


def _kind(block: Image | Document) -> str:
    """What the Messages API calls the block's source."""
    match block.source:
        case UrlSource():
            return "url"
        case Base64Source(file_id=str()):
            return "file"
    return "base64"


@contextmanager
def _placed(field: str) -> Iterator[None]:
    try:
        yield
    except HaigaError as error:
        error.field = error.field or field
        raise


def _check_kind(content: Content, block: Image, field: str) -> None:
    """Raise Invalid for what is no picture, or another one than it is said to be."""
    told, found = content.kind, picture_kind(content.data)
    if not found:
        raise Invalid(
            "Could not process image: it is none of JPEG, PNG, GIF and WebP", field=field, code="invalid_image_format"
        )
    if isinstance(block.source, Base64Source) and told and found != told:
        raise Invalid(
            f"The image was specified using the {told} media type, but the image appears to be a {found} image",
            field=field,
        )


def _text(content: Content) -> str:
    if picture_kind(content.data):
        raise Invalid("this is an image, not a document: send it as an image")
    if not is_text(content.kind):
        raise Invalid(f"{content.kind} is neither a PDF nor a text")
    try:
        text = content.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("this is neither a PDF nor UTF-8 text") from None
    if "\0" in text:
        raise Invalid("this is neither a PDF nor UTF-8 text")
    return text
