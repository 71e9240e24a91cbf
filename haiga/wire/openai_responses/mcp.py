"""MCP servers in the Responses API: the `mcp` tool, and past calls among the items.

Rule: calls are carried out without asking anyone, so a request has to say that it wants it so.
"""

from collections.abc import Sequence
from typing import Any

from haiga.core.errors import Invalid, Unsupported
from haiga.core.messages import ServerToolResult, ServerToolUse, Text, Toolset
from haiga.wire.openai_body import missing
from haiga.wire.openai_chat.messages_in import read_arguments
from haiga.wire.openai_responses import items, shapes

OWN = "haiga"  # the label of the tools that the operator has configured


def check_mcp(tools: Sequence[object]) -> None:
    """Raises Invalid and Unsupported."""
    labels: set[str] = set()
    for i, tool in enumerate(tools):
        if not isinstance(tool, shapes.McpTool):
            continue
        if tool.server_label in labels:
            raise Invalid(f"Duplicate server_label '{tool.server_label}' found in 'tools'.", field=f"tools[{i}]")
        labels.add(tool.server_label)
        for name in ("connector_id", "tunnel_id"):
            if getattr(tool, name) is not None:
                raise _unsupported(f"tools[{i}].{name}")
        if tool.server_url is None and tool.server_label != OWN:
            raise missing(f"tools[{i}].server_url")
        if isinstance(tool.allowed_tools, shapes.McpFilter) and tool.allowed_tools.read_only is not None:
            raise _unsupported(f"tools[{i}].allowed_tools.read_only")
        if tool.require_approval != "never":
            raise Unsupported(
                "Approval requests are not supported by this server: set 'require_approval' to 'never'.",
                field=f"tools[{i}].require_approval",
                code="unsupported_value",
            )


def read_toolsets(tools: Sequence[object]) -> tuple[Toolset, ...]:
    """What is asked of each server."""
    return tuple(_toolset(i, tool) for i, tool in enumerate(tools) if isinstance(tool, shapes.McpTool))


def mcp_blocks(item: items.McpCallItem) -> list[ServerToolUse | ServerToolResult]:
    """A past call, and what came of it."""
    id = item.id or "mcp_call"
    use = ServerToolUse(id, item.server_label, item.name, read_arguments(item.arguments))
    failed = item.error is not None or item.output is None
    said = _error(item.error) if failed else item.output or ""
    return [use, ServerToolResult(id, (Text(said),) if said else (), failed)]


def without_secrets(tool: Any) -> Any:
    """A tool of the request as it may be told and kept."""
    if not isinstance(tool, dict) or tool.get("type") != "mcp":
        return tool
    return {name: value for name, value in tool.items() if name not in ("authorization", "headers")}


def _toolset(at: int, tool: shapes.McpTool) -> Toolset:
    chosen = tool.allowed_tools
    names = chosen.tool_names if isinstance(chosen, shapes.McpFilter) else chosen
    return Toolset(
        tool.server_label,
        tool.server_url,
        tool.authorization,
        default=names is None,
        enabled=dict.fromkeys(names or (), True),
        headers=tool.headers or {},
        path=f"tools[{at}]",
    )


def _error(error: Any) -> str:
    """What an error says, whoever wrote it."""
    if isinstance(error, dict):
        parts = error.get("content")
        said = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        texts = [str(part.get("text", "")) for part in said]
        return "\n".join(texts) or str(error.get("message", "failed"))
    return str(error) if error else "There was no result."


def _unsupported(path: str) -> Unsupported:
    return Unsupported(f"Unsupported parameter: '{path}' is not supported.", field=path, code="unsupported_parameter")
