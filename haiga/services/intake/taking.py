"""One request with its pictures and documents taken in.

Rule: everything is read first, so that what can be cited is known before anything is shown; then each block is replaced
where it stands.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from haiga.core.errors import Invalid, Oversized
from haiga.core.generation import TextRequest
from haiga.core.messages import Block, BlocksSource, Document, Image, SearchResult, Text, TextSource, ToolResult
from haiga.core.pictures import Picture
from haiga.services.intake.limits import IntakeLimits
from haiga.services.intake.reading import Pages, Reader
from haiga.text.citing import Catalogue, Source, with_numbers
from haiga.text.documents import Piece, blocks, document, page, search_result

Found: TypeAlias = Picture | str | Pages
AT_ONCE = 4  # sources of one request that are fetched and decoded at the same time
TAKEN = Image | Document | SearchResult


@dataclass(frozen=True, slots=True)
class Taken:
    """The request as the model is to read it, and what its answer may cite; None where nothing may be."""

    request: TextRequest
    catalogue: Catalogue | None = None


def concerns(request: TextRequest) -> bool:
    """Whether there is anything to be taken in."""
    return any(True for _ in _found(request))


def _found(request: TextRequest) -> Iterator[tuple[str, TAKEN]]:
    """Pictures, documents and results of searches with their places, in the order of the prompt."""
    for at, message in enumerate(request.messages):
        yield from _in_blocks(message.content, f"messages.{at}.content")


def _in_blocks(content: Iterable[Block], path: str) -> Iterator[tuple[str, TAKEN]]:
    for at, block in enumerate(content):
        place = f"{path}.{at}"
        if isinstance(block, TAKEN):
            yield place, block
        match block:
            case ToolResult(content=inner):
                yield from _in_blocks(inner, f"{place}.content")
            case Document(source=BlocksSource(content=inner)):
                yield from _in_blocks(inner, f"{place}.source.content")


def most_memory(request: TextRequest, limits: IntakeLimits) -> int:
    """Bytes that the pictures of a request take at most once they are decoded."""
    blocks = [block for _, block in _found(request)]
    images = sum(isinstance(block, Image) for block in blocks)
    papers = any(isinstance(block, Document) and not isinstance(block.source, TextSource) for block in blocks)
    return images * limits.image_memory + papers * limits.page_memory * limits.pdf_pages


def picture_memory(request: TextRequest) -> int:
    """Bytes of the pictures of a request that was taken in."""
    blocks = (block for _, block in _found(request))
    return sum(len(b.source.rgb) for b in blocks if isinstance(b, Image) and isinstance(b.source, Picture))


async def take_in(request: TextRequest, reader: Reader, sees: bool) -> Taken:
    """Raises core errors with the places of what is wrong. `sees`: the model does."""
    found = list(_found(request))
    _check_count(found, reader.limits.images)
    read = await _read_all(found, reader, sees)
    pages = sum(len(each) for each in read.values() if isinstance(each, tuple))
    if pages > reader.limits.pdf_pages:
        raise Invalid(f"A maximum of {reader.limits.pdf_pages} PDF pages may be provided.", field="messages")
    return _Placing(found, read).taken(request)


def _check_count(found: list[tuple[str, TAKEN]], limit: int) -> None:
    images = sum(isinstance(block, Image) for _, block in found)
    documents = sum(isinstance(block, Document) for _, block in found)
    if images + documents > limit:
        raise Invalid(f"too many images and documents: {images} + {documents} > {limit}", field="messages")


async def _read_all(found: list[tuple[str, TAKEN]], reader: Reader, sees: bool) -> dict[str, Found]:
    """What is at each place. Pictures that are too large are told together, else the first thing that is wrong."""
    images = sum(isinstance(block, Image) for _, block in found)
    gate = asyncio.Semaphore(AT_ONCE)

    async def read(what: Awaitable[Found]) -> Found:
        async with gate:
            return await what

    jobs: dict[str, Awaitable[Found]] = {}
    for path, block in found:
        if isinstance(block, Image):
            jobs[path] = read(reader.picture(block, path, images))
        elif isinstance(block, Document) and not isinstance(block.source, BlocksSource):
            jobs[path] = read(reader.paper(block, path, sees))
    results = dict(zip(jobs, await asyncio.gather(*jobs.values(), return_exceptions=True), strict=True))
    wrong = {path: result for path, result in results.items() if isinstance(result, BaseException)}
    if wrong:
        raise _worst(wrong)
    return {path: result for path, result in results.items() if not isinstance(result, BaseException)}


def _worst(wrong: dict[str, BaseException]) -> BaseException:
    first = next(iter(wrong.values()))
    if not isinstance(first, Oversized):
        return first
    paths = [path for path, error in wrong.items() if isinstance(error, Oversized)]
    return Oversized(first.message, side=first.side, paths=paths, field=first.field)


class _Placing:
    """Puts what was read in the places of what names it."""

    def __init__(self, found: list[tuple[str, TAKEN]], read: dict[str, Found]) -> None:
        self._read = read
        self._documents = [path for path, block in found if isinstance(block, Document)]
        self._results = [path for path, block in found if isinstance(block, SearchResult)]
        self._cited: dict[str, int] = {}
        sources: list[Source] = []
        for path, block in found:
            if isinstance(block, Document | SearchResult) and block.citations:
                self._cited[path] = len(sources)
                sources.append(self._source(path, block))
        self._catalogue = Catalogue(sources) if sources else None

    def taken(self, request: TextRequest) -> Taken:
        messages = tuple(
            replace(message, content=self._blocks(message.content, f"messages.{at}.content"))
            for at, message in enumerate(request.messages)
        )
        catalogue = self._catalogue
        if catalogue is None:
            return Taken(replace(request, messages=messages))
        system = (*request.system, Text(catalogue.instruction))
        messages = tuple(
            replace(message, content=tuple(_renumbered(block, catalogue) for block in message.content))
            if message.role == "assistant"
            else message
            for message in messages
        )
        return Taken(replace(request, messages=messages, system=system), catalogue)

    def _source(self, path: str, block: Document | SearchResult) -> Source:
        if isinstance(block, SearchResult):
            fields = {"source": block.source, "title": block.title, "search_result_index": self._results.index(path)}
            return Source("search_result_location", tuple(text.text for text in block.content), fields)
        fields = {"document_index": self._documents.index(path), "document_title": block.title}
        fields |= {"file_id": getattr(block.source, "file_id", None)}
        if isinstance(block.source, BlocksSource):
            units = (inner.text if isinstance(inner, Text) else "" for inner in block.source.content)
            return Source("content_block_location", tuple(units), fields)
        read = self._read[path]
        if isinstance(read, str):
            return Source("char_location", (read,), fields)
        assert isinstance(read, tuple)
        return Source("page_location", tuple(each.text for each in read), fields)

    def _blocks(self, content: Iterable[Block], path: str) -> tuple[Block, ...]:
        made: list[Block] = []
        for at, block in enumerate(content):
            made += self._block(block, f"{path}.{at}")
        return tuple(made)

    def _block(self, block: Block, path: str) -> tuple[Block, ...]:
        match block:
            case Image():
                return (replace(block, source=self._picture(path)),)
            case Document():
                index = self._documents.index(path)
                pieces = document(index, block.title, block.context, self._content(block, path))
                return blocks(pieces, block.cache)
            case SearchResult():
                texts = "\n".join(self._unit(path, at, text.text) for at, text in enumerate(block.content))
                pieces = search_result(self._results.index(path), block.source, block.title, texts)
                return blocks(pieces, block.cache)
            case ToolResult():
                return (replace(block, content=self._blocks(block.content, f"{path}.content")),)
        return (block,)

    def _content(self, block: Document, path: str) -> list[Piece]:
        if isinstance(block.source, BlocksSource):
            return [
                self._unit(path, at, inner.text)
                if isinstance(inner, Text)
                else self._picture(f"{path}.source.content.{at}")
                for at, inner in enumerate(block.source.content)
            ]
        read = self._read[path]
        if isinstance(read, str):
            return [self._unit(path, 0, read)]
        assert isinstance(read, tuple)
        pages = (page(each.number, self._unit(path, at, each.text), each.picture) for at, each in enumerate(read))
        return [piece for pieces in pages for piece in pieces]

    def _unit(self, path: str, unit: int, text: str) -> str:
        """A text, with its passages numbered where it may be cited."""
        source = self._cited.get(path)
        return text if source is None or self._catalogue is None else self._catalogue.shown(source, unit)

    def _picture(self, path: str) -> Picture:
        picture = self._read[path]
        assert isinstance(picture, Picture)
        return picture


def _renumbered(block: Block, catalogue: Catalogue) -> Block:
    return with_numbers(block, catalogue) if isinstance(block, Text) and block.citations else block
