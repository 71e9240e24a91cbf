"""A conversation as values: messages, content blocks, tools.

Rule: neutral between the wire families, and lossless. A block keeps, in `extra`, the fields it does not
understand, so that what a client sent comes back as it was; no value here knows how any API writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from haiga.core.pictures import Picture

Role: TypeAlias = Literal["system", "user", "assistant"]
Ttl: TypeAlias = Literal["5m", "1h"]
TTL_SECONDS: Mapping[str, int] = {"5m": 300, "1h": 3600}
Extra: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CacheMark:
    """A cache breakpoint: the prompt up to and with the marked block is kept for `ttl`."""

    ttl: Ttl = "5m"


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text; `citations` are kept as the API wrote them."""

    text: str
    citations: tuple[Mapping[str, Any], ...] = ()
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Base64Source:
    """`file_id` is the kept file that the data was read from, where it was."""

    media_type: str
    data: str
    file_id: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class UrlSource:
    url: str


@dataclass(frozen=True, slots=True)
class FileSource:
    file_id: str


@dataclass(frozen=True, slots=True)
class TextSource:
    """`file_id` as in Base64Source."""

    text: str
    file_id: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class BlocksSource:
    """A document given as blocks of its own (text and images)."""

    content: "tuple[Block, ...]"


ImageSource: TypeAlias = Base64Source | UrlSource | FileSource | Picture
DocumentSource: TypeAlias = Base64Source | UrlSource | FileSource | TextSource | BlocksSource


@dataclass(frozen=True, slots=True)
class Image:
    """What a client sent, or, once it was taken in, the `Picture` itself: the only source that an engine reads."""

    source: ImageSource
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    source: DocumentSource
    title: str | None = None
    context: str | None = None
    citations: bool = False
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    source: str
    title: str
    content: tuple[Text, ...]
    citations: bool = False
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning shown to the caller; `signature` proves that this server wrote it."""

    thinking: str
    signature: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RedactedThinking:
    data: str
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call the model made; `input` is the parsed JSON object of its arguments."""

    id: str
    name: str
    input: Mapping[str, Any]
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    tool_use_id: str
    content: "tuple[Block, ...]"
    is_error: bool = False
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerToolUse:
    """A call that the model made and a server carries out, unasked of the caller; `server` is where the tool lives."""

    id: str
    server: str
    name: str
    input: Mapping[str, Any]
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerToolResult:
    """What came of a `ServerToolUse`: text, in the assistant's own message."""

    tool_use_id: str
    content: tuple[Text, ...]
    is_error: bool = False
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


COMPACTION = "compaction"


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block that no model sees (server tool results …), kept whole in `extra`. One of type COMPACTION stands for all
    that comes before it, by the summary in its `content`."""

    type: str
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)


Block: TypeAlias = (
    Text
    | Image
    | Document
    | SearchResult
    | Thinking
    | RedactedThinking
    | ToolUse
    | ToolResult
    | ServerToolUse
    | ServerToolResult
    | Opaque
)


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a tool's free text must match: a Lark grammar or a regular expression."""

    syntax: Literal["lark", "regex"]
    definition: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may call. `kind` is "custom", or the dated type of a tool the API itself defines.

    A tool that takes free text has a schema of one string, `input`; `grammar` then is what that text must match.
    """

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "custom"
    strict: bool = False
    cache: CacheMark | None = None
    extra: Extra = field(default_factory=dict)
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Toolset:
    """Tools that a server runs, asked for by the caller: all of them or those `enabled` by name, `default` deciding for
    the others. `url` is where a server of the Model Context Protocol listens; without one it is a server that this
    server knows by its name. `listed` are its tools where the caller says them, so that it need not be asked."""

    server: str
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    default: bool = True
    enabled: Mapping[str, bool] = field(default_factory=dict)
    listed: tuple[Tool, ...] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cache: CacheMark | None = None
    path: str = "mcp_servers"

    def offers(self, name: str) -> bool:
        """Whether the caller wants the tool of that name."""
        return self.enabled.get(name, self.default)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`mode`: auto (free), any (some tool), tool (the one named `name`), none; `parallel`: several calls per turn.

    `allowed` names the tools that may be called while the prompt shows all of them; None for every one.
    """

    mode: Literal["auto", "any", "tool", "none"] = "auto"
    name: str | None = None
    parallel: bool = True
    allowed: tuple[str, ...] | None = None


def text_of(blocks: tuple[Block, ...]) -> str:
    """The text blocks of a message, joined as they stand."""
    return "".join(block.text for block in blocks if isinstance(block, Text))
