"""Tools and servers of tools in the Messages API's requests, and the choice among them. Rule: as in shapes.py."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.wire.anthropic.base import CacheControl, Shape


class CustomTool(Shape):
    """A tool that the client runs; `input_schema` is the JSON Schema of its arguments."""

    type: Literal["custom"] = "custom"
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, Any]] | None = None
    cache_control: CacheControl | None = None


class DefinedTool(Shape):
    """A tool that the API itself defines; some toolsets carry no name. Those that the client runs are offered here."""

    type: Literal[
        "bash_20241022",
        "bash_20250124",
        "text_editor_20241022",
        "text_editor_20250124",
        "text_editor_20250429",
        "text_editor_20250728",
        "memory_20250818",
        "computer_20241022",
        "computer_20250124",
        "computer_20251124",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
        "web_search_20250305",
        "web_search_20260209",
        "web_search_20260318",
        "web_fetch_20250910",
        "web_fetch_20260209",
        "web_fetch_20260309",
        "web_fetch_20260318",
        "code_execution_20250522",
        "code_execution_20250825",
        "code_execution_20260120",
        "code_execution_20260521",
        "tool_search_tool_regex",
        "tool_search_tool_regex_20251119",
        "tool_search_tool_bm25",
        "tool_search_tool_bm25_20251119",
        "advisor_20260301",
    ]
    name: str | None = None
    cache_control: CacheControl | None = None


class McpToolConfig(Shape):
    enabled: bool | None = None
    defer_loading: bool | None = None


class McpListedTool(Shape):
    """A tool as its MCP server lists it."""

    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    input_schema: dict[str, Any]


class McpToolset(Shape):
    """The tools of an MCP server that is named in `mcp_servers`, or that this server itself runs."""

    type: Literal["mcp_toolset"]
    mcp_server_name: str = Field(min_length=1, max_length=200)
    default_config: McpToolConfig | None = None
    configs: dict[str, McpToolConfig] | None = None
    tools: list[McpListedTool] | None = None
    cache_control: CacheControl | None = None


class McpToolConfiguration(Shape):
    """The older way to choose among a server's tools."""

    enabled: bool | None = None
    allowed_tools: list[str] | None = None


class McpServer(Shape):
    """A server of tools that this server is to call; see `mcp_toolset` for which of its tools."""

    type: Literal["url"]
    name: str = Field(min_length=1, max_length=200)
    url: str = Field(min_length=1, max_length=2048)
    authorization_token: str | None = Field(default=None, pattern=r"^[\x21-\x7e]*$", max_length=8192)
    tool_configuration: McpToolConfiguration | None = None


def _with_tool_type(value: Any) -> Any:
    """A tool without a type is a custom one. The parsed body is ours alone, so it is changed in place."""
    if isinstance(value, dict) and value.get("type") is None:
        value["type"] = "custom"
    return value


ToolParam: TypeAlias = Annotated[
    Annotated[CustomTool | DefinedTool | McpToolset, Field(discriminator="type")], BeforeValidator(_with_tool_type)
]


class AutoChoice(Shape):
    type: Literal["auto"]
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Shape):
    type: Literal["any"]
    disable_parallel_tool_use: bool | None = None


class NamedChoice(Shape):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(Shape):
    type: Literal["none"]
