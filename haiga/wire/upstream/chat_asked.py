"""A core request as the body of POST /chat/completions.

Rule: what came in this form goes out as it came, but for the model's name, for what this server itself does (keeping,
routing) and for what a stage has changed. What the form has no place for is left out; only a document or an image
that it cannot carry is refused, since an answer that passes over it would be wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any, TypeAlias

import orjson

from haiga.core.errors import Unsupported
from haiga.core.generation import TextRequest
from haiga.core.messages import (
    COMPACTION,
    Base64Source,
    Block,
    BlocksSource,
    Document,
    Image,
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
from haiga.wire.openai_chat.write import argument_text
from haiga.wire.upstream.png import as_file, media_type

Json: TypeAlias = dict[str, Any]
# what this server does itself, and has no meaning elsewhere
OWN = ("store", "metadata", "models", "route", "session_id", "transforms")


def chat_body(request: TextRequest, model: str, *, router: bool = False, stream: bool = True) -> bytes:
    """`router`: the other side is OpenRouter, and takes what it adds to the form. `stream` holds for a request that
    came in another form; one of this form says itself how it is to be answered."""
    source = request.source
    if source is None or source.form not in ("chat", "router"):
        return orjson.dumps({"model": model, **_whole(request, router), **_streamed(stream)})
    body = {name: value for name, value in source.body.items() if name not in OWN}
    for field in request.changed:
        body |= CHANGES[field](request)
    kept = {name: value for name, value in body.items() if value is not None}
    options = kept.get("stream_options") or {}
    return orjson.dumps({**kept, "model": model, **_streamed(bool(kept.get("stream")), options)})


def _streamed(stream: bool, options: Mapping[str, Any] | None = None) -> Json:
    """The usage is always asked for: without it nothing could be charged."""
    return {"stream": True, "stream_options": {**(options or {}), "include_usage": True}} if stream else {}


def _whole(request: TextRequest, router: bool) -> Json:
    fields = _max_tokens(request) if not request.unbounded else {}
    for write in (_messages, _tools, _tool_choice, _sampling, _stop, _output):
        fields |= write(request)
    fields |= _reasoning(request, router)
    if router and request.cache is not None:
        fields["cache_control"] = _mark(request.cache)
    if request.user:
        fields["user"] = request.user
    return {name: value for name, value in fields.items() if value is not None}


def _max_tokens(request: TextRequest) -> Json:
    return {"max_tokens": None, "max_completion_tokens": request.max_tokens}


def _messages(request: TextRequest) -> Json:
    system = [{"role": "system", "content": _texts(request.system)}] if request.system else []
    turns = (turn for m, message in enumerate(request.messages) for turn in _turns(f"messages.{m}", message))
    return {"messages": [*system, *turns]}


def _tools(request: TextRequest) -> Json:
    return {"tools": [_tool(tool) for tool in request.tools] or None, "functions": None}


MODES = {"auto": "auto", "any": "required", "none": "none"}


def _tool_choice(request: TextRequest) -> Json:
    choice = request.tool_choice
    if not request.tools:
        return {"tool_choice": None, "parallel_tool_calls": None, "function_call": None}
    wanted: Any = MODES.get(choice.mode)
    if choice.mode == "tool":
        wanted = {"type": "function", "function": {"name": choice.name}}
    elif choice.allowed is not None:
        tools = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
        wanted = {"type": "allowed_tools", "allowed_tools": {"mode": MODES[choice.mode], "tools": tools}}
    parallel = None if choice.parallel else False
    return {"tool_choice": None if wanted == "auto" else wanted, "parallel_tool_calls": parallel, "function_call": None}


def _sampling(request: TextRequest) -> Json:
    asked = request.sampling
    plain = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
    fields: Json = {name: getattr(asked, name) for name in (*plain, "seed")}
    fields["logit_bias"] = {str(token): bias for token, bias in asked.logit_bias.items()} or None
    if asked.logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": asked.logprobs or None}
    return fields


def _stop(request: TextRequest) -> Json:
    return {"stop": list(request.stop) or None}


def _output(request: TextRequest) -> Json:
    schema = request.output_schema
    if schema is None:
        return {"response_format": None}
    if schema == {"type": "object"}:
        return {"response_format": {"type": "json_object"}}
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    }


def _reasoning(request: TextRequest, router: bool) -> Json:
    """A budget of thought has a place with OpenRouter alone; elsewhere there is only an effort."""
    wanted, effort = request.thinking, request.extra.get("effort")
    if router and wanted.mode == "enabled" and wanted.budget:
        return {"reasoning": {"max_tokens": wanted.budget}}
    if wanted.mode == "disabled" or not isinstance(effort, str):
        return {}
    return {"reasoning": {"effort": effort}} if router else {"reasoning_effort": effort}


CHANGES: Mapping[str, Callable[[TextRequest], Json]] = {
    "messages": _messages,
    "system": _messages,
    "max_tokens": _max_tokens,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "sampling": _sampling,
    "stop": _stop,
    "thinking": lambda request: {},
    "output_schema": _output,
    "cache": lambda request: {},
    "edits": lambda request: {},
    "toolsets": lambda request: {},
}

# --- messages ---


def _turns(path: str, message: Message) -> Iterator[Json]:
    """A user's message as those that it is here: each tool result is one of its own, and pictures in a result, which
    has only text, follow in the user's."""
    if message.role == "assistant":
        yield _assistant(message)
        return
    for answers, group in groupby(enumerate(message.content), key=lambda pair: isinstance(pair[1], ToolResult)):
        placed = [(f"{path}.content.{b}", block) for b, block in group]
        if answers:
            yield from _results(placed)
        elif parts := _parts(placed):
            yield {"role": message.role, "content": _plain(parts)}


def _results(placed: list[tuple[str, Block]]) -> Iterator[Json]:
    shown: list[Json] = []
    for path, block in placed:
        assert isinstance(block, ToolResult)
        inner = [(f"{path}.content.{i}", each) for i, each in enumerate(block.content)]
        parts = _parts(inner)
        texts = [part for part in parts if part["type"] == "text"]
        shown += [part for part in parts if part["type"] != "text"]
        yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": _plain(texts) if texts else ""}
    if shown:
        yield {"role": "user", "content": shown}


def _assistant(message: Message) -> Json:
    """Thoughts in OpenRouter's form, which others pass over."""
    texts = [part for block in message.content for part in _said(block)]
    calls = [_call(block) for block in message.content if isinstance(block, ToolUse)]
    details = [detail for block in message.content if (detail := _detail(block))]
    body: Json = {"role": "assistant", "content": _plain(texts) if texts else None if calls else ""}
    if details:
        body["reasoning_details"] = details
    return {**body, "tool_calls": calls} if calls else body


def _said(block: Block) -> list[Json]:
    match block:
        case Text(text=text) if text:
            return [_text(block)]
        case ServerToolUse():
            return [{"type": "text", "text": f"[{block.server}: {block.name} {argument_text(block.input)}]"}]
        case ServerToolResult():
            return _texts(block.content)
        case Opaque(type=kind, extra={"content": str(summary)}) if kind == COMPACTION:
            return [{"type": "text", "text": summary}]
    return []


def _detail(block: Block) -> Json | None:
    match block:
        case Thinking(thinking=thought, signature=signature):
            return {"type": "reasoning.text", "text": thought, **({"signature": signature} if signature else {})}
        case RedactedThinking(data=data):
            return {"type": "reasoning.encrypted", "data": data}
    return None


def _call(block: ToolUse) -> Json:
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": argument_text(block.input)},
    }


def _parts(placed: Iterable[tuple[str, Block]]) -> list[Json]:
    return [part for path, block in placed for part in _part(path, block)]


def _part(path: str, block: Block) -> list[Json]:
    match block:
        case Text():
            return [_text(block)] if block.text else []
        case Image(source=Base64Source() as file):
            return [_image(f"data:{media_type(file)};base64,{file.data}", block)]
        case Image(source=UrlSource(url=url)):
            return [_image(url, block)]
        case Image(source=Picture() as picture):
            return _part(path, replace(block, source=as_file(picture)))
        case Document():
            return _document(path, block)
        case SearchResult():
            return [{"type": "text", "text": f"{block.title}\n{block.source}"}, *_texts(block.content)]
        case Opaque(type="tool_reference", extra={"tool_name": str(name)}):
            return [{"type": "text", "text": name}]
    raise Unsupported(f"{_name(block)} blocks have no place in a chat completion", field=path)


def _name(block: Block) -> str:
    return block.type if isinstance(block, Opaque) else type(block).__name__.lower()


def _image(url: str, block: Image) -> Json:
    detail = {"detail": block.extra["detail"]} if "detail" in block.extra else {}
    return {"type": "image_url", "image_url": {"url": url, **detail}, **_marked(block)}


def _document(path: str, block: Document) -> list[Json]:
    """A PDF is a file; texts are texts, under their title."""
    titled = [{"type": "text", "text": block.title}] if block.title else []
    match block.source:
        case Base64Source(media_type=kind, data=data):
            named = {"filename": block.title or "document.pdf"}
            return [{"type": "file", "file": {**named, "file_data": f"data:{kind};base64,{data}"}}]
        case TextSource(text=text):
            return [*titled, {"type": "text", "text": text, **_marked(block)}]
        case BlocksSource(content=inner):
            return [*titled, *_parts((path, each) for each in inner)]
        case UrlSource(url=url):
            return [{"type": "file", "file": {"filename": block.title or "document.pdf", "file_data": url}}]
    raise Unsupported("a file of another server has no place in a chat completion", field=path)


def _text(block: Text) -> Json:
    return {"type": "text", "text": block.text, **_marked(block)}


def _texts(blocks: Iterable[Text]) -> list[Json]:
    return [_text(block) for block in blocks if block.text]


def _marked(block: Text | Image | Document) -> Json:
    """Cache marks in OpenRouter's form."""
    return {"cache_control": _mark(block.cache)} if block.cache else {}


def _mark(mark: Any) -> Json:
    return {"type": "ephemeral", **({"ttl": mark.ttl} if mark.ttl != "5m" else {})}


def _plain(parts: list[Json]) -> str | list[Json]:
    """One unmarked text is a string, which is all that some servers take."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _tool(tool: Tool) -> Json:
    if tool.kind != "custom" and not tool.schema:
        raise Unsupported(f"`{tool.kind}` tools have no place in a chat completion", field="tools")
    told = {"description": tool.description} if tool.description else {}
    strict = {"strict": True} if tool.strict else {}
    mark = {"cache_control": _mark(tool.cache)} if tool.cache else {}
    function = {"name": tool.name, **told, "parameters": dict(tool.schema), **strict}
    return {"type": "function", "function": function, **mark}
