"""The texts of a request that are judged, and the request with others in their place.

Rule: one walk finds the texts and puts back what became of them, so that none is judged and another one changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from haiga.core.generation import TextRequest
from haiga.core.messages import (
    Block,
    BlocksSource,
    Document,
    Image,
    ImageSource,
    Message,
    Opaque,
    SearchResult,
    Text,
    TextSource,
    ToolResult,
)
from haiga.core.policies import MASK

Visit = Callable[[str], str]


def texts_of(request: TextRequest) -> list[str]:
    """The texts that are judged, each once."""
    found: dict[str, None] = {}

    def note(text: str) -> str:
        if text.strip():
            found[text] = None
        return text

    _walk(request, note)
    return list(found)


def revised(request: TextRequest, visit: Visit, without_images: bool = False) -> TextRequest:
    """The request with each judged text as `visit` has it; `without_images`: said to be taken out."""
    changed = _walk(request, visit)
    if without_images:
        messages = tuple(replace(each, content=_without_images(each.content)) for each in changed.messages)
        changed = replace(changed, messages=messages)
    return changed


def images_of(request: TextRequest) -> list[ImageSource]:
    return [source for message in request.messages for source in _images(message.content)]


def _walk(request: TextRequest, visit: Visit) -> TextRequest:
    last = len(request.messages) - 1
    messages = tuple(
        _message(message, visit) if message.role != "assistant" or at == last else message
        for at, message in enumerate(request.messages)
    )
    system = tuple(replace(text, text=visit(text.text)) for text in request.system)
    suffix = None if request.suffix is None else visit(request.suffix)
    return replace(request, messages=messages, system=system, suffix=suffix, raw=_raw(request, messages))


def _raw(request: TextRequest, messages: Sequence[Message]) -> str | tuple[int, ...] | None:
    """A prompt without a template stands in `messages` as text for whoever reads along: what was changed there is
    changed in it."""
    if request.raw is None or tuple(messages) == request.messages:
        return request.raw
    return "".join(block.text for message in messages for block in message.content if isinstance(block, Text))


def _message(message: Message, visit: Visit) -> Message:
    return replace(message, content=tuple(_block(block, visit) for block in message.content))


def _block(block: Block, visit: Visit) -> Block:
    match block:
        case Text():
            return replace(block, text=visit(block.text))
        case ToolResult(content=inner):
            return replace(block, content=tuple(_block(each, visit) for each in inner))
        case SearchResult(content=texts):
            content = tuple(replace(text, text=visit(text.text)) for text in texts)
            return replace(block, content=content, title=visit(block.title))
        case Document():
            return _document(block, visit)
        case Opaque():
            return replace(block, extra=_json(block.extra, visit))
    return block


def _json(value: Any, visit: Visit) -> Any:
    match value:
        case str():
            return visit(value)
        case list() | tuple():
            return type(value)(_json(item, visit) for item in value)
        case Mapping():
            return {name: _json(item, visit) for name, item in value.items()}
    return value


def _document(block: Document, visit: Visit) -> Document:
    source = block.source
    if isinstance(source, TextSource):
        source = TextSource(visit(source.text))
    elif isinstance(source, BlocksSource):
        source = BlocksSource(tuple(_block(each, visit) for each in source.content))
    title = None if block.title is None else visit(block.title)
    context = None if block.context is None else visit(block.context)
    return replace(block, source=source, title=title, context=context)


def _images(blocks: Sequence[Block]) -> list[ImageSource]:
    found: list[ImageSource] = []
    for block in blocks:
        match block:
            case Image(source=source):
                found.append(source)
            case ToolResult(content=inner) | Document(source=BlocksSource(content=inner)):
                found += _images(inner)
    return found


def _without_images(blocks: Sequence[Block]) -> tuple[Block, ...]:
    return tuple(_without_image(block) for block in blocks)


def _without_image(block: Block) -> Block:
    match block:
        case Image(cache=cache):
            return Text(MASK, cache=cache)
        case ToolResult(content=inner):
            return replace(block, content=_without_images(inner))
        case Document(source=BlocksSource(content=inner)):
            return replace(block, source=BlocksSource(_without_images(inner)))
    return block
