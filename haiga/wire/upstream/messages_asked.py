"""A core request as the body of POST /v1/messages.

Rule: what came in this form goes out as it came, but for the model's name and for what a stage has changed of it;
everything else is written from core values, blocks with the fields that nobody here understands.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from haiga.core.generation import PARTIAL, TextRequest
from haiga.core.messages import (
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
    ToolResult,
    ToolUse,
    UrlSource,
)
from haiga.core.pictures import Picture
from haiga.wire.upstream.png import as_file, media_type
from haiga.wire.verbatim import renamed

Json: TypeAlias = dict[str, Any]
EFFORTS = ("low", "medium", "high", "xhigh", "max")
BUDGET = 1024  # tokens of thought at the least


def messages_body(request: TextRequest, model: str, *, most: int, stream: bool = True) -> bytes:
    """`most` is how many tokens are asked for where the request leaves that open: this form cannot. `stream` holds for
    a request that came in another form; one of this form says itself how it is to be answered."""
    source = request.source
    if source is None or source.form != "messages":
        return orjson.dumps({"model": model, **_whole(request, most), "stream": stream})
    if not request.changed:
        return renamed(source.data, {"model": model})
    changes = {name: value for field in request.changed for name, value in CHANGES[field](request).items()}
    kept = {name: value for name, value in {**source.body, **changes}.items() if value is not None}
    return orjson.dumps({**kept, "model": model})


def count_body(request: TextRequest, model: str) -> bytes:
    """The body of POST /v1/messages/count_tokens."""
    body = orjson.loads(messages_body(request, model, most=1))
    return orjson.dumps({name: value for name, value in body.items() if name not in ONLY_GENERATING})


ONLY_GENERATING = (
    "max_tokens", "stream", "stop_sequences", "metadata", "service_tier", "temperature", "top_p", "top_k",
    "inference_geo", "diagnostics", "compaction",
)  # fmt: skip


def _whole(request: TextRequest, most: int) -> Json:
    """Every field that a request of another family has a value for."""
    fields: Json = {"max_tokens": most if request.unbounded else request.max_tokens}
    for write in (_messages, _system, _tools, _tool_choice, _thinking, _output, _stop, _sampling, _cache):
        fields |= write(request)
    if request.user:
        fields["metadata"] = {"user_id": request.user}
    return {name: value for name, value in fields.items() if value is not None}


def _max_tokens(request: TextRequest) -> Json:
    return {"max_tokens": request.max_tokens}


def _messages(request: TextRequest) -> Json:
    return {"messages": [body for message in request.messages if (body := _message(message))["content"]]}


def _system(request: TextRequest) -> Json:
    return {"system": [write_block(text) for text in request.system] or None}


def _tools(request: TextRequest) -> Json:
    return {"tools": [_tool(tool) for tool in request.tools] or None}


def _tool_choice(request: TextRequest) -> Json:
    """The form knows no choice among some of the tools: one that is left is named, of several any may be called."""
    choice = request.tool_choice
    if not request.tools:
        return {"tool_choice": None}
    if choice.mode == "none":
        return {"tool_choice": {"type": "none"}}
    alone = choice.allowed[0] if choice.mode == "any" and choice.allowed and len(choice.allowed) == 1 else None
    name = choice.name or alone
    body: Json = {"type": "tool", "name": name} if name else {"type": choice.mode}
    if not choice.parallel:
        body["disable_parallel_tool_use"] = True
    return {"tool_choice": None if body == {"type": "auto"} else body}


def _thinking(request: TextRequest) -> Json:
    """In other families a model thinks when it will; here that has to be asked for, and is not where none asked how."""
    wanted = request.thinking
    if wanted.mode == "enabled" and wanted.budget:
        return {"thinking": {"type": "enabled", "budget_tokens": max(BUDGET, wanted.budget)}}
    if wanted.mode == "adaptive" and request.extra.get("effort") in EFFORTS:
        return {"thinking": {"type": "adaptive"}}
    return {"thinking": None}


def _output(request: TextRequest) -> Json:
    schema, effort = request.output_schema, request.extra.get("effort")
    wanted = {"format": {"type": "json_schema", "schema": schema}} if schema is not None else {}
    asked = {"effort": effort} if effort in EFFORTS else {}
    return {"output_config": {**asked, **wanted} or None}


def _stop(request: TextRequest) -> Json:
    return {"stop_sequences": list(request.stop) or None}


def _sampling(request: TextRequest) -> Json:
    """Temperatures go up to 2 elsewhere, and to 1 here."""
    asked = request.sampling
    temperature = None if asked.temperature is None else min(1.0, asked.temperature)
    return {"temperature": temperature, "top_p": asked.top_p, "top_k": asked.top_k or None}


def _cache(request: TextRequest) -> Json:
    return {"cache_control": _mark(request.cache)}


CHANGES: Mapping[str, Callable[[TextRequest], Json]] = {
    "messages": _messages,
    "max_tokens": _max_tokens,
    "system": _system,
    "tools": lambda request: {**_tools(request), "mcp_servers": None},
    "tool_choice": _tool_choice,
    "sampling": _sampling,
    "stop": _stop,
    "thinking": _thinking,
    "output_schema": _output,
    "cache": _cache,
    "edits": lambda request: {"context_management": None},
    "toolsets": lambda request: {"mcp_servers": None},
}

# --- blocks ---


def _message(message: Message) -> Json:
    return {"role": message.role, "content": write_blocks(message.content)}


def write_blocks(blocks: Iterable[Block]) -> list[Json]:
    """The blocks as this form has them. What it refuses is left out: empty texts, and thoughts that nobody signed."""
    return [write_block(block) for block in blocks if _is_taken(block)]


def _is_taken(block: Block) -> bool:
    return bool(block.text if isinstance(block, Text) else block.signature if isinstance(block, Thinking) else True)


def write_block(block: Block) -> Json:
    body = {**_block(block), **block.extra}
    mark = _mark(getattr(block, "cache", None))
    return {**body, "cache_control": mark} if mark else body


def _mark(mark: CacheMark | None) -> Json | None:
    if mark is None:
        return None
    return {"type": "ephemeral", **({"ttl": mark.ttl} if mark.ttl != "5m" else {})}


def _block(block: Block) -> Json:
    match block:
        case Text():
            return {
                "type": "text",
                "text": block.text,
                **({"citations": list(block.citations)} if block.citations else {}),
            }
        case Image():
            return {"type": "image", "source": _source(block.source)}
        case Document() | SearchResult():
            return _document(block)
        case Thinking():
            return {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
        case RedactedThinking():
            return {"type": "redacted_thinking", "data": block.data}
        case ToolUse():
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": _arguments(block.input)}
        case ToolResult():
            told = {"is_error": True} if block.is_error else {}
            return {
                "type": "tool_result",
                "tool_use_id": block.tool_use_id,
                "content": write_blocks(block.content),
                **told,
            }
        case ServerToolUse() | ServerToolResult():
            return _server_tool(block)
        case Opaque():
            return {"type": block.type}


def _arguments(arguments: Mapping[str, Any]) -> Json:
    """What was no object in another family is one here."""
    return {"arguments": arguments[PARTIAL]} if arguments.keys() == {PARTIAL} else dict(arguments)


def _server_tool(block: ServerToolUse | ServerToolResult) -> Json:
    if isinstance(block, ServerToolUse):
        named = {"id": block.id, "name": block.name, "server_name": block.server}
        return {"type": "mcp_tool_use", **named, "input": dict(block.input)}
    told = {"tool_use_id": block.tool_use_id, "is_error": block.is_error}
    return {"type": "mcp_tool_result", **told, "content": write_blocks(block.content)}


def _document(block: Document | SearchResult) -> Json:
    cited = {"citations": {"enabled": True}} if block.citations else {}
    if isinstance(block, SearchResult):
        found = {"source": block.source, "title": block.title, "content": write_blocks(block.content)}
        return {"type": "search_result", **found, **cited}
    told = {name: value for name in ("title", "context") if (value := getattr(block, name)) is not None}
    return {"type": "document", "source": _source(block.source), **told, **cited}


def _source(source: ImageSource | DocumentSource) -> Json:
    match source:
        case Picture():
            return _source(as_file(source))
        case Base64Source():
            return {"type": "base64", "media_type": media_type(source), "data": source.data}
        case UrlSource():
            return {"type": "url", "url": source.url}
        case FileSource():
            return {"type": "file", "file_id": source.file_id}
        case TextSource():
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        case BlocksSource():
            return {"type": "content", "content": write_blocks(source.content)}


def _tool(tool: Tool) -> Json:
    mark = {"cache_control": _mark(tool.cache)} if tool.cache else {}
    if tool.kind != "custom":
        return {"type": tool.kind, "name": tool.name, **tool.extra, **mark}
    told = {"description": tool.description} if tool.description else {}
    strict = {"strict": True} if tool.strict else {}
    return {"name": tool.name, **told, "input_schema": _schema(tool.schema), **strict, **tool.extra, **mark}


def _schema(schema: Mapping[str, Any]) -> Json:
    """The form wants an object's schema, which other families do not."""
    return {"type": "object", **schema}
