"""Chat Completions' messages as a conversation of core values.

Rule: one message becomes one message, except that the tool messages answering one turn join into one user message of
tool results, and that system messages at the very beginning are the system prompt. Where a block came from is kept, so
that a later complaint about it names the caller's own field.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeAlias

from haiga.core.generation import PARTIAL
from haiga.core.messages import (
    Base64Source,
    Block,
    CacheMark,
    Document,
    FileSource,
    Image,
    Message,
    RedactedThinking,
    Role,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.wire.openai_chat import shapes

Placed: TypeAlias = tuple[str, Block]  # where the block stands in the request, and the block


@dataclass(frozen=True, slots=True)
class Conversation:
    """`origins[m][b]` is where block b of message m stands in the request."""

    system: tuple[Text, ...]
    messages: tuple[Message, ...]
    origins: tuple[tuple[str, ...], ...]


def read_conversation(messages: Sequence[shapes.AnyMessage]) -> Conversation:
    """The system prompt and the messages after it. A request of system messages alone keeps them as messages."""
    opening = [message for message in takewhile(_is_system, messages) if isinstance(message, shapes.SystemMessage)]
    if len(opening) == len(messages):
        opening = []
    system = (block for message in opening for _, block in _placed_parts("", message.content))
    turns = _turns(messages, len(opening))
    return Conversation(
        tuple(block for block in system if isinstance(block, Text)),
        tuple(Message(role, tuple(block for _, block in placed)) for role, placed in turns),
        tuple(tuple(path for path, _ in placed) for _, placed in turns),
    )


def _is_system(message: shapes.AnyMessage) -> bool:
    return isinstance(message, shapes.SystemMessage)


def _turns(messages: Sequence[shapes.AnyMessage], start: int) -> list[tuple[Role, list[Placed]]]:
    turns: list[tuple[Role, list[Placed]]] = []
    answering = False
    called = ""
    for i in range(start, len(messages)):
        message, path = messages[i], f"messages[{i}]"
        if isinstance(message, shapes.AssistantMessage) and message.function_call:
            called = f"call_{i}"
        result = _result(path, message, called)
        if result and answering:
            turns[-1][1].append(result)
        elif result:
            turns.append(("user", [result]))
        else:
            turns.append(_turn(path, message, called))
        answering = result is not None
    return turns


def _result(path: str, message: shapes.AnyMessage, called: str) -> Placed | None:
    """The tool result in a tool message or, by the older form, in a function message."""
    match message:
        case shapes.ToolMessage():
            content = tuple(block for _, block in _placed_parts(path, message.content))
            return path, ToolResult(message.tool_call_id, content, extra=message.model_extra or {})
        case shapes.FunctionMessage():
            answer = (Text(message.content),) if message.content else ()
            return path, ToolResult(called or f"call_{message.name}", answer)
    return None


def _turn(path: str, message: shapes.AnyMessage, called: str) -> tuple[Role, list[Placed]]:
    match message:
        case shapes.AssistantMessage():
            return "assistant", [*_reasoning(path, message), *_said(path, message), *_calls(path, message, called)]
        case shapes.UserMessage():
            return "user", _placed_parts(path, message.content)
        case shapes.SystemMessage():
            return "system", _placed_parts(path, message.content)
    raise TypeError(f"no turn of its own: {type(message).__name__}")


# --- content parts ---


def _placed_parts(path: str, parts: Iterable[shapes.AnyPart]) -> list[Placed]:
    return [(f"{path}.content[{i}]", _part(part)) for i, part in enumerate(parts)]


def _part(part: shapes.AnyPart) -> Block:
    extra, mark = part.model_extra or {}, part_mark(part)
    match part:
        case shapes.TextPart():
            return Text(part.text, cache=mark, extra=extra)
        case shapes.RefusalPart():
            return Text(part.refusal, cache=mark, extra=extra)
        case shapes.ImagePart():
            detail = {"detail": part.image_url.detail} if part.image_url.detail else {}
            return Image(image_source(part.image_url.url), mark, {**extra, **detail})
        case shapes.FilePart():
            return document(part.file, mark, extra)
    raise TypeError(f"refused before: {part.type}")


def part_mark(part: shapes.Part) -> CacheMark | None:
    """Lifetimes round to the next one there is: 30 minutes and 12 hours are kept for an hour."""
    if part.prompt_cache_breakpoint:
        return CacheMark("1h" if part.prompt_cache_breakpoint.ttl else "5m")
    return cache_mark(part.cache_control)


def cache_mark(control: shapes.CacheControlMark | None) -> CacheMark | None:
    return CacheMark(control.ttl or "5m") if control else None


def media_source(url: str, media_type: str = "") -> Base64Source | UrlSource:
    if not url.startswith("data:"):
        return UrlSource(url)
    head, _, data = url.partition(",")
    return Base64Source(head.removeprefix("data:").partition(";")[0] or media_type, data)


def image_source(url: str) -> Base64Source | UrlSource:
    """In a data URL only the bytes say what the picture is: clients often call a PNG a JPEG, and the API takes it."""
    source = media_source(url)
    return replace(source, media_type="") if isinstance(source, Base64Source) else source


def document(file: shapes.FilePayload, mark: CacheMark | None, extra: dict[str, Any]) -> Document:
    """File data is a data URL, an address, or bare base64 of a PDF."""
    if file.file_id is not None:
        return Document(FileSource(file.file_id), file.filename, cache=mark, extra=extra)
    data = file.file_data or ""
    known = data.startswith(("data:", "http://", "https://"))
    source = media_source(data, "application/pdf") if known else Base64Source("application/pdf", data)
    return Document(source, file.filename, cache=mark, extra=extra)


# --- what an assistant said ---


def _said(path: str, message: shapes.AssistantMessage) -> list[Placed]:
    said = _placed_parts(path, message.content or ())
    if message.refusal:
        said.append((f"{path}.refusal", Text(message.refusal)))
    return said


def _calls(path: str, message: shapes.AssistantMessage, called: str) -> list[Placed]:
    calls = [(f"{path}.tool_calls[{i}]", _call(call)) for i, call in enumerate(message.tool_calls or ())]
    if message.function_call:
        call = message.function_call
        calls.append((f"{path}.function_call", ToolUse(called, call.name, read_arguments(call.arguments))))
    return [*calls]


def _call(call: shapes.FunctionToolCall | shapes.CustomToolCall) -> ToolUse:
    extra = call.model_extra or {}
    if isinstance(call, shapes.CustomToolCall):
        return ToolUse(call.id, call.custom.name, {"input": call.custom.input}, extra=extra)
    return ToolUse(call.id, call.function.name, read_arguments(call.function.arguments), extra=extra)


def read_arguments(text: str) -> dict[str, Any]:
    """A call's arguments; what is no JSON object is kept as the text it is, since the API takes any."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {PARTIAL: text}
    return value if isinstance(value, dict) else {PARTIAL: text}


def _reasoning(path: str, message: shapes.AssistantMessage) -> list[Placed]:
    """Reasoning given back: the detailed form, which alone keeps signatures, before the plain text."""
    if message.reasoning_details:
        details = enumerate(message.reasoning_details)
        return [(f"{path}.reasoning_details[{i}]", block) for i, detail in details if (block := _detail(detail))]
    plain = message.reasoning_content or message.reasoning
    return [(f"{path}.reasoning_content", Thinking(plain))] if plain else []


def _detail(detail: dict[str, Any]) -> Block | None:
    match detail:
        case {"type": "reasoning.text", "text": str(text)}:
            signature = detail.get("signature")
            return Thinking(text, signature if isinstance(signature, str) else "")
        case {"type": "reasoning.summary", "summary": str(summary)}:
            return Thinking(summary)
        case {"type": "reasoning.encrypted", "data": str(data)}:
            return RedactedThinking(data)
    return None
