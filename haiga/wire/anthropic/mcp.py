"""MCP servers in requests of the Messages API: `mcp_servers`, `mcp_toolset`, and past calls in the history.

Rule: both forms of the beta are read, `mcp_toolset` entries among the tools and the older `tool_configuration` of a
server; a server may be spoken of in one of them.
"""

from collections.abc import Sequence
from dataclasses import replace

from haiga.core.errors import Invalid
from haiga.core.messages import CacheMark, Tool, Toolset
from haiga.wire.anthropic import shapes, tool_shapes


def read_toolsets(body: shapes.CountBody) -> tuple[Toolset, ...]:
    """What is asked of each server, in their order; then the toolsets of servers that are not in `mcp_servers`."""
    sets = {tool.mcp_server_name: (i, tool) for i, tool in _toolsets(body)}
    servers = [_server(i, server, sets.pop(server.name, None)) for i, server in enumerate(body.mcp_servers or ())]
    return (*servers, *(_toolset(tool, f"tools.{i}.mcp_toolset.mcp_server_name") for i, tool in sets.values()))


def check_mcp_servers(body: shapes.CountBody) -> None:
    """Names are unique, and each server has one set of tools. Raises Invalid."""
    names = [server.name for server in body.mcp_servers or ()]
    if len(set(names)) < len(names):
        raise Invalid("MCP server names must be unique.", field="mcp_servers")
    named: set[str] = set()
    for i, tool in _toolsets(body):
        if tool.mcp_server_name in named:
            name = tool.mcp_server_name[:64]
            raise Invalid(f"MCP server '{name}' is referenced by more than one mcp_toolset", field=f"tools.{i}")
        named.add(tool.mcp_server_name)
    for i, server in enumerate(body.mcp_servers or ()):
        _check_server(f"mcp_servers.{i}", server, named)


def _check_server(path: str, server: tool_shapes.McpServer, named: set[str]) -> None:
    if server.tool_configuration and server.name in named:
        raise Invalid(
            f"MCP server '{server.name[:64]}' has both a tool_configuration and an mcp_toolset",
            field=f"{path}.tool_configuration",
        )
    if named and server.name not in named:
        raise Invalid(f"MCP server '{server.name[:64]}' is not referenced by any mcp_toolset", field=path)


def check_mcp_calls(index: int, content: Sequence[shapes.ContentBlock]) -> None:
    """In one turn every call has its result behind it, and every result its call before it. Raises Invalid."""
    waiting: list[str] = []
    for block in content:
        if isinstance(block, shapes.McpToolUseBlock):
            waiting.append(block.id)
        elif isinstance(block, shapes.McpToolResultBlock):
            if block.tool_use_id not in waiting:
                raise Invalid(
                    f"unexpected `tool_use_id` found in `mcp_tool_result` blocks: {block.tool_use_id}. Each "
                    "`mcp_tool_result` block must have a corresponding `mcp_tool_use` block before it.",
                    field=f"messages.{index}",
                )
            waiting.remove(block.tool_use_id)
    if waiting:
        ids = ", ".join(waiting[:10])
        raise Invalid(
            f"`mcp_tool_use` ids were found without a corresponding `mcp_tool_result` block: {ids}.",
            field=f"messages.{index}",
        )


def _toolsets(body: shapes.CountBody) -> list[tuple[int, tool_shapes.McpToolset]]:
    return [(i, tool) for i, tool in enumerate(body.tools or ()) if isinstance(tool, tool_shapes.McpToolset)]


def _server(at: int, server: tool_shapes.McpServer, named: tuple[int, tool_shapes.McpToolset] | None) -> Toolset:
    path = f"mcp_servers.{at}"
    asked = _configured(server, path) if named is None else _toolset(named[1], path)
    return replace(asked, url=server.url, token=server.authorization_token)


def _configured(server: tool_shapes.McpServer, path: str) -> Toolset:
    """The older form; without any, all tools are wanted."""
    older = server.tool_configuration or tool_shapes.McpToolConfiguration()
    chosen, on = older.allowed_tools, older.enabled is not False
    return Toolset(server.name, default=on and chosen is None, enabled=dict.fromkeys(chosen or (), on), path=path)


def _toolset(tool: tool_shapes.McpToolset, path: str) -> Toolset:
    configs = (tool.configs or {}).items()
    return Toolset(
        tool.mcp_server_name,
        default=tool.default_config is None or tool.default_config.enabled is not False,
        enabled={name: own.enabled for name, own in configs if own.enabled is not None},
        listed=None if tool.tools is None else tuple(_listed(each) for each in tool.tools),
        cache=CacheMark(tool.cache_control.ttl or "5m") if tool.cache_control else None,
        path=path,
    )


def _listed(tool: tool_shapes.McpListedTool) -> Tool:
    return Tool(tool.name, tool.description or "", tool.input_schema)
