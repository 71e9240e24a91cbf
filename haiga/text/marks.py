"""The blocks of a request in the order of the prompt, and how one of them is marked.

Rule: a mark is a character put after everything a block shows, on the request itself, so that it goes through the
chat template as the block's own text does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from haiga.core.generation import TextRequest
from haiga.core.messages import (
    TTL_SECONDS,
    Block,
    CacheMark,
    Image,
    Message,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)

Path: TypeAlias = tuple[str, *tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A block: `path` leads to it (`("messages", 2, 0)`), `ttl` in seconds where it carries a cache mark."""

    path: Path
    ttl: int | None


def places(request: TextRequest) -> list[Place]:
    """Every tool and block in the order tools, system, messages; a tool result's own blocks come before it."""
    tools = [_place(("tools", at), tool.cache) for at, tool in enumerate(request.tools)]
    system = [_place(("system", at), block.cache) for at, block in enumerate(request.system)]
    found = [*tools, *system, *_in_messages(request)]
    if request.cache and found:
        found[-1] = replace(found[-1], ttl=found[-1].ttl or TTL_SECONDS[request.cache.ttl])
    return found


def marked(request: TextRequest, path: Path, mark: str) -> TextRequest:
    """The request with `mark` after what the block at `path` shows."""
    match path:
        case ("tools", at):
            tools = request.tools
            return replace(request, tools=(*tools[:at], _marked_tool(tools[at], mark), *tools[at + 1 :]))
        case ("system", at):
            system = request.system
            block = replace(system[at], text=system[at].text + mark)
            return replace(request, system=(*system[:at], block, *system[at + 1 :]))
        case ("messages", at, *rest):
            messages = request.messages
            content = _marked_in(messages[at].content, rest, mark)
            return replace(request, messages=(*messages[:at], Message(messages[at].role, content), *messages[at + 1 :]))
    raise KeyError(path)


def _place(path: Path, cache: CacheMark | None) -> Place:
    return Place(path, TTL_SECONDS[cache.ttl] if cache else None)


def _in_messages(request: TextRequest) -> Iterator[Place]:
    for at, message in enumerate(request.messages):
        for inner, block in enumerate(message.content):
            if isinstance(block, ToolResult):
                yield from (
                    _place(("messages", at, inner, deep), getattr(each, "cache", None))
                    for deep, each in enumerate(block.content)
                )
            if not isinstance(block, Thinking):
                yield _place(("messages", at, inner), getattr(block, "cache", None))


def _marked_in(blocks: tuple[Block, ...], path: list[int], mark: str) -> tuple[Block, ...]:
    at, *rest = path
    block = blocks[at]
    if isinstance(block, Image):
        return (*blocks[: at + 1], Text(mark), *blocks[at + 1 :])
    if rest and isinstance(block, ToolResult):
        changed: Block = replace(block, content=_marked_in(block.content, rest, mark))
    else:
        changed = _marked_block(block, mark)
    return (*blocks[:at], changed, *blocks[at + 1 :])


def _marked_block(block: Block, mark: str) -> Block:
    match block:
        case Text():
            return replace(block, text=block.text + mark)
        case ToolResult(content=(*before, Text() as last)):
            return replace(block, content=(*before, _marked_block(last, mark)))
        case ToolResult():
            return replace(block, content=(*block.content, Text(mark)))
        case ToolUse():
            return replace(block, input={**block.input, mark: mark})
    return block


def _marked_tool(tool: Tool, mark: str) -> Tool:
    """Every text of the definition marked, since nobody knows which a template shows last; type names are left,
    since templates compare them."""
    schema = {key: _marked_value(value, key, mark) for key, value in tool.schema.items()}
    return replace(tool, name=tool.name + mark, description=tool.description + mark, schema=schema)


def _marked_value(value: Any, key: str, mark: str) -> Any:
    match value:
        case str():
            return value if key == "type" else value + mark
        case dict():
            return {inner: _marked_value(each, inner, mark) for inner, each in value.items()}
        case list():
            return [_marked_value(each, key, mark) for each in value]
    return value
