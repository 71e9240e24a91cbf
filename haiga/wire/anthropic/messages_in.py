"""Reads the Messages API's requests into core values.

Rule: bytes in, core values or a core error out. Nothing is looked up, nothing is refused for want of a capability:
that is for services/inference.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from haiga.core.generation import SamplingRequest, TextRequest, ThinkingRequest
from haiga.core.messages import (
    COMPACTION,
    Base64Source,
    Block,
    BlocksSource,
    CacheMark,
    Document,
    DocumentSource,
    FileSource,
    Image,
    ImageSource,
    Message,
    Opaque,
    RedactedThinking,
    SearchResult,
    ServerToolResult,
    ServerToolUse,
    Text,
    TextSource,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.wire.anthropic import rules, shapes, tool_shapes
from haiga.wire.anthropic.base import CacheControl
from haiga.wire.anthropic.edits import on_demand, read_edits
from haiga.wire.anthropic.mcp import read_toolsets
from haiga.wire.body import read_object, read_shape

EAGER_BETA = "fine-grained-tool-streaming-2025-05-14"
OVERFLOW_BETA = "model-context-window-exceeded-2025-08-26"
ATTRIBUTION = "x-anthropic-billing-header"


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """A request and the form its answer is wanted in."""

    request: TextRequest
    stream: bool


def read_message(body: bytes, version: str | None, betas: Sequence[str] = ()) -> MessageRequest:
    """The body of POST /v1/messages under the headers' version and betas. Raises Invalid and Unsupported."""
    checked = rules.check_version(version)
    shape = read_shape(shapes.MessageBody, read_object(body))
    rules.check(shape, checked)
    request = TextRequest(
        **_prompt(shape, EAGER_BETA in betas),
        max_tokens=shape.max_tokens,
        sampling=SamplingRequest(temperature=shape.temperature, top_p=shape.top_p, top_k=shape.top_k),
        stop=tuple(shape.stop_sequences or ()),
        overflow="stop" if checked == rules.NEWEST or OVERFLOW_BETA in betas else "refuse",
        user=shape.metadata.user_id if shape.metadata else None,
    )
    if shape.compaction is not None:
        request = replace(request, edits=on_demand(shape.compaction))
    return MessageRequest(request, bool(shape.stream))


def read_count(body: bytes, version: str | None, betas: Sequence[str] = ()) -> TextRequest:
    """The body of POST /v1/messages/count_tokens: a message that nothing is to be generated for."""
    checked = rules.check_version(version)
    shape = read_shape(shapes.CountBody, read_object(body))
    rules.check(shape, checked)
    return TextRequest(**_prompt(shape), max_tokens=0)


def _prompt(shape: shapes.CountBody, eager: bool = False) -> dict[str, Any]:
    """The fields of a TextRequest that decide the prompt, the same for both bodies. eager: a beta asks that every
    tool's arguments be streamed as they come."""
    return {
        "model": shape.model,
        "messages": tuple(Message(m.role, _blocks(m.content)) for m in shape.messages if m.content),
        "system": _system(shape.system or ()),
        "tools": tuple(
            _tool(tool, eager) for tool in shape.tools or () if not isinstance(tool, tool_shapes.McpToolset)
        ),
        "toolsets": read_toolsets(shape),
        "tool_choice": _tool_choice(shape.tool_choice),
        "thinking": _thinking(shape.thinking),
        "output_schema": _output_schema(shape),
        "cache": _mark(shape.cache_control),
        "extra": _kept(shape),
        "edits": read_edits(shape.context_management),
    }


def _own_tools(shape: shapes.CountBody) -> list[tool_shapes.CustomTool | tool_shapes.DefinedTool]:
    """The tools that are not an MCP server's."""
    return [tool for tool in shape.tools or () if not isinstance(tool, tool_shapes.McpToolset)]


def _kept(shape: shapes.CountBody) -> dict[str, Any]:
    """Fields that are accepted without effect here, for whoever learns to act on them, and unknown ones."""
    kept = dict(shape.model_extra or {})
    if shape.output_config is not None and shape.output_config.effort is not None:
        kept["effort"] = shape.output_config.effort
    return kept


def _output_schema(shape: shapes.CountBody) -> dict[str, Any] | None:
    wanted = shape.output_config.format if shape.output_config else None
    wanted = wanted or shape.output_format
    return wanted.json_schema if wanted else None


def _system(blocks: Iterable[shapes.TextBlock]) -> tuple[Text, ...]:
    """Claude Code opens its system prompt with a line of billing attribution that changes with every request: it is
    for the API's operator, not for the model, and would spoil every cached prefix."""
    texts = tuple(_text(block) for block in blocks)
    return texts[1:] if texts and texts[0].text.startswith(ATTRIBUTION) else texts


def _thinking(
    wanted: shapes.EnabledThinking
    | shapes.AdaptiveThinking
    | shapes.DisabledThinking
    | shapes.BetweenToolsThinking
    | None,
) -> ThinkingRequest:
    match wanted:
        case None:
            return ThinkingRequest()
        case shapes.EnabledThinking():
            return ThinkingRequest("enabled", wanted.budget_tokens, wanted.display or "summarized")
        case shapes.AdaptiveThinking():
            return ThinkingRequest("adaptive", None, wanted.display or "summarized")
    return ThinkingRequest(wanted.type)


def _tool(shape: tool_shapes.CustomTool | tool_shapes.DefinedTool, eager: bool) -> Tool:
    extra = dict(shape.model_extra or {})
    if eager or (isinstance(shape, tool_shapes.CustomTool) and shape.eager_input_streaming):
        extra["eager_input_streaming"] = True
    if isinstance(shape, tool_shapes.DefinedTool):
        return Tool(shape.name or shape.type, kind=shape.type, cache=_mark(shape.cache_control), extra=extra)
    return Tool(
        shape.name,
        shape.description or "",
        shape.input_schema,
        strict=bool(shape.strict),
        cache=_mark(shape.cache_control),
        extra=extra,
    )


def _tool_choice(
    shape: tool_shapes.AutoChoice | tool_shapes.AnyChoice | tool_shapes.NamedChoice | tool_shapes.NoChoice | None,
) -> ToolChoice:
    match shape:
        case None:
            return ToolChoice()
        case tool_shapes.NoChoice():
            return ToolChoice("none")
        case tool_shapes.NamedChoice():
            return ToolChoice("tool", shape.name, not shape.disable_parallel_tool_use)
    return ToolChoice(shape.type, None, not shape.disable_parallel_tool_use)


# --- blocks ---


def _mark(shape: CacheControl | None) -> CacheMark | None:
    return CacheMark(shape.ttl or "5m") if shape else None


def _blocks(blocks: Iterable[shapes.ContentBlock | shapes.ResultBlock]) -> tuple[Block, ...]:
    return tuple(_block(block) for block in blocks)


def _text(shape: shapes.TextBlock) -> Text:
    return Text(shape.text, tuple(shape.citations or ()), _mark(shape.cache_control), shape.model_extra or {})


def _block(shape: shapes.ContentBlock | shapes.ResultBlock) -> Block:
    extra = shape.model_extra or {}
    match shape:
        case shapes.TextBlock():
            return _text(shape)
        case shapes.ImageBlock():
            return _image(shape)
        case shapes.DocumentBlock():
            return _document(shape)
        case shapes.SearchResultBlock():
            return _search_result(shape)
        case shapes.ThinkingBlock():
            return Thinking(shape.thinking, shape.signature, extra)
        case shapes.RedactedThinkingBlock():
            return RedactedThinking(shape.data, extra)
        case shapes.ToolUseBlock():
            return ToolUse(shape.id, shape.name, shape.input, _mark(shape.cache_control), extra)
        case shapes.ToolResultBlock():
            content = _blocks(shape.content or ())
            return ToolResult(shape.tool_use_id, content, bool(shape.is_error), _mark(shape.cache_control), extra)
        case shapes.McpToolUseBlock():
            mark = _mark(shape.cache_control)
            return ServerToolUse(shape.id, shape.server_name, shape.name, shape.input, mark, extra)
        case shapes.McpToolResultBlock():
            said = tuple(_text(block) for block in shape.content or ())
            return ServerToolResult(shape.tool_use_id, said, bool(shape.is_error), _mark(shape.cache_control), extra)
        case shapes.CompactionBlock():
            return Opaque(COMPACTION, _mark(shape.cache_control), {**extra, "content": shape.content})
    return Opaque(shape.type, _mark(shape.cache_control), extra)


def _image(shape: shapes.ImageBlock) -> Image:
    extra = dict(shape.model_extra or {})
    if shape.transformations:
        extra["transformations"] = shape.transformations.model_dump(exclude_unset=True)
    return Image(_image_source(shape.source), _mark(shape.cache_control), extra)


def _image_source(shape: shapes.Base64Image | shapes.Url | shapes.FileReference) -> ImageSource:
    match shape:
        case shapes.Base64Image():
            return Base64Source(shape.media_type, shape.data)
        case shapes.Url():
            return UrlSource(shape.url)
    return FileSource(shape.file_id)


def _document(shape: shapes.DocumentBlock) -> Document:
    return Document(
        _document_source(shape.source),
        shape.title,
        shape.context,
        bool(shape.citations and shape.citations.enabled),
        _mark(shape.cache_control),
        shape.model_extra or {},
    )


def _document_source(
    shape: shapes.Base64Pdf | shapes.PlainText | shapes.ContentSource | shapes.Url | shapes.FileReference,
) -> DocumentSource:
    match shape:
        case shapes.Base64Pdf():
            return Base64Source(shape.media_type, shape.data)
        case shapes.PlainText():
            return TextSource(shape.data)
        case shapes.ContentSource():
            return BlocksSource(_blocks(shape.content))
        case shapes.Url():
            return UrlSource(shape.url)
    return FileSource(shape.file_id)


def _search_result(shape: shapes.SearchResultBlock) -> SearchResult:
    return SearchResult(
        shape.source,
        shape.title,
        tuple(_text(block) for block in shape.content),
        bool(shape.citations and shape.citations.enabled),
        _mark(shape.cache_control),
        shape.model_extra or {},
    )
