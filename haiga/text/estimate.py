"""About how many tokens a prompt has, for servers that do not count.

Rule: an estimate, four bytes a token: good enough to bound and to choose by, never to charge by.
"""

from collections.abc import Iterable

import orjson

from haiga.core.generation import TextRequest
from haiga.core.messages import (
    Base64Source,
    Block,
    BlocksSource,
    Document,
    Image,
    SearchResult,
    ServerToolResult,
    ServerToolUse,
    Text,
    TextSource,
    Thinking,
    ToolResult,
    ToolUse,
)

BYTES = 4  # a token
PICTURE = 1500  # tokens
PAGES = 30  # bytes of a PDF for each token of it
ROLE = 4  # tokens of a message besides its blocks


def estimate(request: TextRequest) -> int:
    """Tokens of system prompt, tools and messages."""
    tools = sum(
        _text(tool.name + tool.description) + len(orjson.dumps(dict(tool.schema))) // BYTES for tool in request.tools
    )
    messages = sum(ROLE + _blocks(message.content) for message in request.messages)
    return tools + _blocks(request.system) + messages


def _blocks(blocks: Iterable[Block]) -> int:
    return sum(map(_block, blocks))


def _block(block: Block) -> int:
    match block:
        case Text(text=text) | Thinking(thinking=text):
            return _text(text)
        case Image():
            return PICTURE
        case Document(source=Base64Source(data=data)):
            return len(data) // PAGES
        case Document(source=TextSource(text=text)):
            return _text(text)
        case Document(source=BlocksSource(content=inner)):
            return _blocks(inner)
        case ToolUse(input=arguments) | ServerToolUse(input=arguments):
            return len(orjson.dumps(dict(arguments))) // BYTES + ROLE
        case ToolResult(content=inner) | SearchResult(content=inner) | ServerToolResult(content=inner):
            return ROLE + _blocks(inner)
    return ROLE


def _text(text: str) -> int:
    return -(-len(text.encode(errors="replace")) // BYTES)
