"""Items as a conversation of core values.

Rule: what an assistant thought, said and called in one go is one message, and so are the outputs that answer it; every
other item is a message of its own. System messages at the very beginning are the system prompt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from haiga.core.messages import (
    COMPACTION,
    Base64Source,
    Block,
    Document,
    FileSource,
    Image,
    Message,
    Opaque,
    RedactedThinking,
    Role,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.wire.openai_chat import shapes as chat
from haiga.wire.openai_chat.messages_in import document, image_source, media_source, part_mark, read_arguments
from haiga.wire.openai_responses import items
from haiga.wire.openai_responses.codes import decode_summary, decode_thoughts
from haiga.wire.openai_responses.mcp import mcp_blocks

Placed: TypeAlias = "tuple[str, Block]"  # where the block stands in the request, and the block


@dataclass(frozen=True, slots=True)
class Conversation:
    """`origins[m][b]` is where block b of message m stands in the request, `sources[m]` which items message m is made
    of, counted from the oldest."""

    system: tuple[Text, ...]
    messages: tuple[Message, ...]
    origins: tuple[tuple[str, ...], ...]
    sources: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class _Turn:
    role: Role
    kind: str
    blocks: list[Placed]
    sources: list[int]


def read_conversation(said: Sequence[items.Known], past: int) -> Conversation:
    """The system prompt and the messages after it; the first `past` items are not the request's own. System messages
    alone stay messages."""
    opening = len(list(takewhile(_is_system, said)))
    if opening == len(said):
        opening = 0
    system = (block for item in said[:opening] for _, block in _blocks(item, ""))
    turns = list(_turns(said, opening, past))
    return Conversation(
        tuple(block for block in system if isinstance(block, Text)),
        tuple(Message(turn.role, tuple(block for _, block in turn.blocks)) for turn in turns),
        tuple(tuple(path for path, _ in turn.blocks) for turn in turns),
        tuple(tuple(turn.sources) for turn in turns),
    )


def _is_system(item: items.Known) -> bool:
    return isinstance(item, items.MessageItem) and item.role in ("system", "developer")


def _turns(said: Sequence[items.Known], start: int, past: int) -> Iterable[_Turn]:
    turn: _Turn | None = None
    for i in range(start, len(said)):
        role, kind = _place(said[i])
        path = f"input[{i - past}]" if i >= past else "previous_response_id"
        if turn is None or not kind or turn.kind != kind:
            if turn is not None:
                yield turn
            turn = _Turn(role, kind, [], [])
        turn.blocks.extend(_blocks(said[i], path))
        turn.sources.append(i)
    if turn is not None:
        yield turn


def _place(item: items.Known) -> tuple[Role, str]:
    """Whose turn the item belongs to, and what it may share the turn with; "" for nothing."""
    match item:
        case items.MessageItem(role="user"):
            return "user", ""
        case items.MessageItem(role="system" | "developer"):
            return "system", ""
        case items.CallOutputItem():
            return "user", "outputs"
    return "assistant", "assistant"


def _blocks(item: items.Known, path: str) -> list[Placed]:
    match item:
        case items.MessageItem():
            return [(f"{path}.content[{i}]", _part(part)) for i, part in enumerate(item.content)]
        case items.FunctionCallItem():
            return [(path, ToolUse(item.call_id, item.name, read_arguments(item.arguments)))]
        case items.CustomCallItem():
            return [(path, ToolUse(item.call_id, item.name, {"input": item.input}))]
        case items.CallOutputItem():
            return [(path, ToolResult(item.call_id, tuple(_part(part) for part in item.output)))]
        case items.McpCallItem():
            return [(path, block) for block in mcp_blocks(item)]
        case items.ReasoningItem():
            return [(path, block) for block in _thoughts(item)]
        case items.CompactionItem():
            return [(path, Opaque(COMPACTION, extra={"content": decode_summary(item.encrypted_content)}))]
    raise TypeError(f"refused or resolved before: {item.type}")


def _part(part: items.AnyPart) -> Block:
    mark = part_mark(part)
    match part:
        case items.InputText() | items.OutputText():
            return Text(part.text, cache=mark, extra=part.model_extra or {})
        case items.Refusal():
            return Text(part.refusal, cache=mark)
        case items.InputImage():
            return Image(_image(part), mark, {"detail": part.detail} if part.detail else {})
        case items.InputFile(file_url=str(url)):
            return Document(media_source(url), part.filename, cache=mark)
        case items.InputFile():
            named = part.model_dump(include={"file_data", "file_id", "filename"})
            return document(chat.FilePayload(**named), mark, {})
    raise TypeError(f"refused before: {part.type}")


def _image(part: items.InputImage) -> Base64Source | UrlSource | FileSource:
    if part.image_url is not None:
        return image_source(part.image_url)
    return FileSource(part.file_id or "")


def _thoughts(item: items.ReasoningItem) -> list[Block]:
    """The thoughts themselves, or else what can be read from their code; a code of another server's stays closed."""
    code = item.encrypted_content
    own = decode_thoughts(code) if code else None
    text, signature = own or ("", "")
    text = text or "\n\n".join(part.text for part in item.content or item.summary or ())
    if text or signature:
        return [Thinking(text, signature)]
    return [RedactedThinking(code)] if code and own is None else []
