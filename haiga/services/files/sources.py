"""Files that messages name, read for the model: a stage, so that whatever comes after sees bytes and texts.

Rule: an image is an image, a document a PDF or a text. What a request names is read once, and is bounded as a body is.
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.errors import HaigaError, Invalid, TooLarge
from haiga.core.files import KeptFile
from haiga.core.generation import Event, TextRequest
from haiga.core.messages import Base64Source, Block, BlocksSource, Document, FileSource, Image, TextSource, ToolResult
from haiga.core.ports import Ask
from haiga.services.files.service import Files

LIMIT = 32 << 20  # bytes of all files that one request names
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
TEXTS = ("application/json", "application/jsonl", "application/xml", "application/x-ndjson", "application/yaml")


class FileSources:
    """Puts the content of `files` where a request names them."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events; see core.ports.Stage."""
        return self._answer(caller, request, ask) if _concerns(request) else ask(caller, request)

    async def _answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        async with aclosing(ask(caller, await self.resolved(caller, request))) as events:
            async for event in events:
                yield event

    async def resolved(self, caller: Caller, request: TextRequest) -> TextRequest:
        """The request with bytes and texts in place of names. Raises NotFound, Invalid and TooLarge."""
        if not _concerns(request):
            return request
        reading = _Reading(self._files, caller)
        messages = [
            replace(message, content=await reading.blocks(message.content, f"messages.{i}.content"))
            for i, message in enumerate(request.messages)
        ]
        return replace(request, messages=tuple(messages))


def _concerns(request: TextRequest) -> bool:
    return any(_names_a_file(message.content) for message in request.messages)


def _names_a_file(blocks: Iterable[Block]) -> bool:
    for block in blocks:
        match block:
            case Image(source=FileSource()) | Document(source=FileSource()):
                return True
            case Document(source=BlocksSource(content=inner)) | ToolResult(content=inner) if _names_a_file(inner):
                return True
    return False


class _Reading:
    """What one request names."""

    def __init__(self, files: Files, caller: Caller) -> None:
        self._files = files
        self._caller = caller
        self._read: dict[str, tuple[KeptFile, bytes]] = {}
        self._size = 0

    async def blocks(self, blocks: tuple[Block, ...], path: str) -> tuple[Block, ...]:
        return tuple([await self._block(block, f"{path}.{i}") for i, block in enumerate(blocks)])

    async def _block(self, block: Block, path: str) -> Block:
        match block:
            case Image(source=FileSource(file_id=id)):
                return replace(block, source=_image(*await self._content(id, path), path))
            case Document(source=FileSource(file_id=id)):
                file, data = await self._content(id, path)
                return replace(block, source=_document(file, data, path), title=block.title or file.filename)
            case Document(source=BlocksSource(content=inner)):
                return replace(block, source=BlocksSource(await self.blocks(inner, f"{path}.source.content")))
            case ToolResult(content=inner):
                return replace(block, content=await self.blocks(inner, f"{path}.content"))
        return block

    async def _content(self, id: str, path: str) -> tuple[KeptFile, bytes]:
        if id in self._read:
            return self._read[id]
        try:
            file = await self._files.get(self._caller, id)
        except HaigaError as error:
            error.field = path
            raise
        self._size += file.size
        if self._size > LIMIT:
            raise TooLarge(f"the files of a request may have at most {LIMIT} bytes together", field=path)
        async with aclosing(self._files.read(file)) as pieces:
            data = b"".join([piece async for piece in pieces])
        self._read[id] = file, data
        return file, data


def _image(file: KeptFile, data: bytes, path: str) -> Base64Source:
    if file.mime_type not in IMAGES:
        raise Invalid(f"file {file.id} is no image: {file.mime_type}", field=path)
    return Base64Source(file.mime_type, b64encode(data).decode(), file.id)


def _document(file: KeptFile, data: bytes, path: str) -> Base64Source | TextSource:
    if file.mime_type == PDF:
        return Base64Source(PDF, b64encode(data).decode(), file.id)
    if not file.mime_type.startswith("text/") and file.mime_type not in TEXTS:
        raise Invalid(f"file {file.id} is neither a PDF nor a text: {file.mime_type}", field=path)
    try:
        return TextSource(data.decode("utf-8-sig"), file.id)
    except UnicodeDecodeError:
        raise Invalid(f"file {file.id} is no UTF-8 text", field=path) from None
