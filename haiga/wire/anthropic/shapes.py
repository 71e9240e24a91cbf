"""The request bodies of the Messages API, as the API documents them.

Rule: shapes only. What depends on more than one field, or on the version, is checked in rules.py; unknown fields are
kept (`extra="allow"`), unknown `type` tags are refused by the tagged unions, which also give the API's own paths
(`messages.0.content.1.image.source.base64.media_type`).
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.wire.anthropic.base import CacheControl, Shape
from haiga.wire.anthropic.edits import Compaction, ContextManagement
from haiga.wire.anthropic.tool_shapes import AnyChoice, AutoChoice, McpServer, NamedChoice, NoChoice, ToolParam

MAX_MESSAGES = 100_000


class TextBlock(Shape):
    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None
    cache_control: CacheControl | None = None


class Base64Image(Shape):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class Url(Shape):
    type: Literal["url"]
    url: str


class FileReference(Shape):
    type: Literal["file"]
    file_id: str


class ImageTransformations(Shape):
    oversized_image: Literal["downsize", "error"] | None = None


class ImageBlock(Shape):
    type: Literal["image"]
    source: Annotated[Base64Image | Url | FileReference, Field(discriminator="type")]
    transformations: ImageTransformations | None = None
    cache_control: CacheControl | None = None


def _as_blocks(value: Any) -> Any:
    """Text given as a plain string is one text block; the empty string is none."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}] if value else []
    return value


class Base64Pdf(Shape):
    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainText(Shape):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


SourceBlock: TypeAlias = Annotated[TextBlock | ImageBlock, Field(discriminator="type")]


class ContentSource(Shape):
    type: Literal["content"]
    content: Annotated[
        list[SourceBlock],
        Field(fail_fast=True),
        BeforeValidator(_as_blocks, json_schema_input_type=str | list[SourceBlock]),
    ]


class CitationsConfig(Shape):
    enabled: bool | None = None


class DocumentBlock(Shape):
    type: Literal["document"]
    source: Annotated[Base64Pdf | PlainText | ContentSource | Url | FileReference, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None
    cache_control: CacheControl | None = None


class SearchResultBlock(Shape):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]
    citations: CitationsConfig | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Shape):
    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Shape):
    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Shape):
    type: Literal["tool_use"]
    id: str = Field(pattern=r"^[a-zA-Z0-9_-]+$")
    name: str = Field(min_length=1, max_length=200)
    input: dict[str, Any]
    cache_control: CacheControl | None = None


class ToolResultPart(Shape):
    """What a tool result may hold besides text, images, documents and search results."""

    type: Literal["tool_reference", "browser_state"]
    cache_control: CacheControl | None = None


ResultBlock: TypeAlias = Annotated[
    TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolResultPart, Field(discriminator="type")
]


class ToolResultBlock(Shape):
    type: Literal["tool_result"]
    tool_use_id: str = Field(pattern=r"^[a-zA-Z0-9_-]+$")
    content: Annotated[
        list[ResultBlock] | None,
        Field(fail_fast=True),
        BeforeValidator(_as_blocks, json_schema_input_type=str | list[ResultBlock] | None),
    ] = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class CompactionBlock(Shape):
    """A summary that stands for all that comes before it; null for one that failed."""

    type: Literal["compaction"]
    content: str | None = Field(default=None, min_length=1)
    cache_control: CacheControl | None = None


class McpToolUseBlock(Shape):
    """A call that this server has carried out itself, at the MCP server of that name."""

    type: Literal["mcp_tool_use"]
    id: str = Field(pattern=r"^[a-zA-Z0-9_-]+$")
    name: str = Field(min_length=1, max_length=200)
    server_name: str = Field(min_length=1, max_length=200)
    input: dict[str, Any]
    cache_control: CacheControl | None = None


class McpToolResultBlock(Shape):
    type: Literal["mcp_tool_result"]
    tool_use_id: str = Field(pattern=r"^[a-zA-Z0-9_-]+$")
    content: Annotated[
        list[TextBlock] | None,
        Field(fail_fast=True),
        BeforeValidator(_as_blocks, json_schema_input_type=str | list[TextBlock] | None),
    ] = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class OtherBlock(Shape):
    """Blocks of the API's own server tools and betas: kept whole, acted on by nobody here yet."""

    type: Literal[
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "advisor_tool_result",
        "container_upload",
        "fallback",
        "mcp_tool_listing",
        "tool_addition",
        "tool_removal",
    ]
    cache_control: CacheControl | None = None


ContentBlock: TypeAlias = Annotated[
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | CompactionBlock
    | McpToolUseBlock
    | McpToolResultBlock
    | OtherBlock,
    Field(discriminator="type"),
]


class MessageParam(Shape):
    role: Literal["user", "assistant", "system"]
    content: Annotated[
        list[ContentBlock],
        Field(fail_fast=True),
        BeforeValidator(_as_blocks, json_schema_input_type=str | list[ContentBlock]),
    ]


class EnabledThinking(Shape):
    type: Literal["enabled"]
    budget_tokens: int = Field(ge=1024)
    display: Literal["summarized", "omitted"] | None = None


class AdaptiveThinking(Shape):
    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class DisabledThinking(Shape):
    type: Literal["disabled"]


class BetweenToolsThinking(Shape):
    type: Literal["between_tools"]


class Metadata(Shape):
    user_id: str | None = Field(default=None, max_length=512)


class JsonFormat(Shape):
    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class OutputConfig(Shape):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class CountBody(Shape):
    """The body of POST /v1/messages/count_tokens: what a message would be, with nothing generated."""

    model: str = Field(min_length=1, max_length=256, description="A model's name or alias; GET /v1/models lists them.")
    messages: list[MessageParam] = Field(
        max_length=MAX_MESSAGES,
        fail_fast=True,
        description="The conversation, oldest first. A last message from the assistant is continued by the answer.",
    )
    system: Annotated[
        list[TextBlock] | None,
        Field(fail_fast=True),
        BeforeValidator(_as_blocks, json_schema_input_type=str | list[TextBlock] | None),
    ] = None
    tools: list[ToolParam] | None = Field(default=None, fail_fast=True)
    tool_choice: Annotated[AutoChoice | AnyChoice | NamedChoice | NoChoice, Field(discriminator="type")] | None = None
    thinking: (
        Annotated[
            EnabledThinking | AdaptiveThinking | DisabledThinking | BetweenToolsThinking, Field(discriminator="type")
        ]
        | None
    ) = None
    cache_control: CacheControl | None = Field(default=None, description="Marks the last block that can be cached.")
    output_config: OutputConfig | None = Field(default=None, description="`effort` is accepted without effect.")
    output_format: JsonFormat | None = Field(default=None, description="The older name of `output_config.format`.")
    context_management: ContextManagement | None = Field(
        default=None, description="What to clear of a long conversation; the answer tells what was cleared."
    )
    mcp_servers: list[McpServer] | None = Field(
        default=None, max_length=20, fail_fast=True, description="Servers of tools that this server calls itself."
    )
    thread: dict[str, Any] | None = Field(default=None, description="Refused: send the whole history instead.")
    container: Any = Field(default=None, description="Refused: not supported here.")
    speed: Literal["standard", "fast"] | None = Field(default=None, description="`fast` is refused.")


class MessageBody(CountBody):
    """The body of POST /v1/messages. temperature, top_p and top_k belong to version 2023-06-01 alone."""

    max_tokens: int = Field(ge=0, description="The most tokens to generate; 0 only reads the prompt into the cache.")
    stream: bool | None = Field(default=None, description="Answer with server-sent events.")
    stop_sequences: list[str] | None = Field(
        default=None, fail_fast=True, description="Strings that end the answer and are not part of it."
    )
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1, description="Version 2023-06-01 only.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="Version 2023-06-01 only.")
    top_k: int | None = Field(default=None, ge=0, description="Version 2023-06-01 only.")
    inference_geo: str | None = Field(default=None, description="Accepted without effect: this server is where it is.")
    diagnostics: dict[str, Any] | None = Field(default=None, description="Accepted without effect.")
    compaction: Compaction | None = Field(default=None, description="Answers with a summary of the conversation alone.")
