"""The request bodies of the Responses and Conversations APIs, as the API documents them.

Rule: shapes only. What depends on more than one field is checked in rules.py; unknown fields are kept, tools of the
API's own are known by name so that they can be refused by name.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.wire.openai_body import Shape
from haiga.wire.openai_chat import shapes as chat
from haiga.wire.openai_responses.items import AnyItem, InputItems

HostedTool: TypeAlias = Literal[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "namespace",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class FunctionTool(chat.Function):
    type: Literal["function"]


class GrammarFormat(Shape):
    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Shape):
    """A tool that takes free text."""

    type: Literal["custom"]
    name: str = Field(pattern=chat.NAME, max_length=64)
    description: str | None = None
    format: Annotated[chat.TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class McpFilter(Shape):
    tool_names: list[str] | None = None
    read_only: bool | None = None


class McpApprovals(Shape):
    always: McpFilter | None = None
    never: McpFilter | None = None


class McpTool(Shape):
    """The tools of a server of the Model Context Protocol, for this server to call."""

    type: Literal["mcp"]
    server_label: str = Field(pattern=chat.NAME, max_length=64)
    server_url: str | None = Field(default=None, max_length=2048)
    server_description: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = Field(default=None, pattern=r"^[\x21-\x7e]*$", max_length=8192)
    headers: (
        dict[
            Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=128)],
            Annotated[str, Field(pattern=r"^[\x20-\x7e]*$", max_length=8192)],
        ]
        | None
    ) = Field(default=None, max_length=32)
    allowed_tools: list[str] | McpFilter | None = None
    require_approval: Literal["always", "never"] | McpApprovals | None = None
    defer_loading: bool | None = None


class OtherTool(Shape):
    """A tool that the API itself would run."""

    type: HostedTool


class NamedChoice(Shape):
    type: Literal["function", "custom"]
    name: str


class AllowedTool(Shape):
    type: str
    name: str | None = None


class AllowedChoice(Shape):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[AllowedTool] = Field(min_length=1, fail_fast=True)


class McpChoice(Shape):
    """A tool of an MCP server."""

    type: Literal["mcp"]
    server_label: str
    name: str


class HostedChoice(Shape):
    type: HostedTool


def _as_choice(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


AnyTool: TypeAlias = Annotated[FunctionTool | CustomTool | McpTool | OtherTool, Field(discriminator="type")]
AnyChoice: TypeAlias = chat.ModeChoice | NamedChoice | AllowedChoice | McpChoice | HostedChoice
ToolChoiceParam: TypeAlias = Annotated[
    Annotated[AnyChoice, Field(discriminator="type")],
    BeforeValidator(_as_choice, json_schema_input_type=Literal["none", "auto", "required"] | AnyChoice),
]


class Reasoning(Shape):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class SchemaFormat(Shape):
    type: Literal["json_schema"]
    name: str = Field(pattern=chat.NAME, max_length=64)
    json_schema: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextConfig(Shape):
    format: Annotated[chat.PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ConversationName(Shape):
    id: str


def _as_conversation(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


class ContextManagement(Shape):
    type: Literal["compaction"]
    compact_threshold: int | None = Field(default=None, ge=1)


class ResponseBody(Shape):
    """The body of POST /v1/responses, and of POST /v1/responses/input_tokens."""

    model: str = Field(min_length=1, max_length=256)
    input: InputItems | None = None
    background: bool | None = None
    context_management: list[ContextManagement] | None = Field(default=None, max_length=1)
    conversation: (
        Annotated[ConversationName, BeforeValidator(_as_conversation, json_schema_input_type=str | ConversationName)]
        | None
    ) = None
    include: list[str] | None = Field(default=None, fail_fast=True)
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    max_tool_calls: int | None = Field(default=None, ge=1)
    metadata: Metadata | None = None
    moderation: chat.ModerationWanted | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: chat.StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    text: TextConfig | None = None
    tool_choice: ToolChoiceParam | None = None
    tools: list[AnyTool] | None = Field(default=None, fail_fast=True)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    top_p: float | None = Field(default=None, ge=0, le=1)
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None


AddedItems: TypeAlias = Annotated[list[AnyItem], Field(max_length=20, fail_fast=True)]


class ConversationBody(Shape):
    """The body of POST /v1/conversations."""

    items: AddedItems | None = None
    metadata: Metadata | None = None


class ConversationChange(Shape):
    """The body of POST /v1/conversations/{id}."""

    metadata: Metadata | None


class ConversationItems(Shape):
    """The body of POST /v1/conversations/{id}/items."""

    items: AddedItems
