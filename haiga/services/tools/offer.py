"""The tools of one answer that servers run, under the names that the model knows them by.

Rule: a tool of a server is `server_name` to the model, as the API composes it, and its own name to the caller; the
operator's own tools keep theirs. Whatever would not be told apart gets a number.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from haiga.core.errors import Invalid
from haiga.core.generation import TextRequest
from haiga.core.messages import Block, Message, ServerToolResult, ServerToolUse, Tool, ToolChoice, ToolResult, ToolUse
from haiga.services.tools.hosted import OWN, HostedTool

NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST_NAME = 64


class Offer:
    """`tools` beside the names that are `taken` by the caller's own."""

    def __init__(self, tools: Sequence[HostedTool], taken: Sequence[str] = ()) -> None:
        self._tools: dict[str, HostedTool] = {}
        for tool in tools:
            self._tools[_free(composed(tool.server, tool.name), {*taken, *self._tools})] = tool
        self._names = {(tool.server, tool.name): name for name, tool in self._tools.items()}

    def tool(self, block: Block) -> HostedTool | None:
        """The tool that a block calls, None for what is no call to a server."""
        return self._tools.get(block.name) if isinstance(block, ToolUse) else None

    def asked(self, request: TextRequest) -> TextRequest:
        """The request as the model is given it. Raises Invalid for a choice of a tool that is not there."""
        return replace(
            request,
            messages=self.lived(request.messages),
            tools=(*request.tools, *(_as_tool(name, tool) for name, tool in self._tools.items())),
            tool_choice=self._choice(request),
            toolsets=(),
        )

    def lived(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The conversation as the model lived it: a call to a server is a call like any other, and its result comes
        from outside."""
        return tuple(part for message in messages for part in self._parts(message))

    def _parts(self, message: Message) -> list[Message]:
        if not any(isinstance(block, ServerToolUse | ServerToolResult) for block in message.content):
            return [message]
        parts: list[Message] = []
        for block in message.content:
            role = "user" if isinstance(block, ServerToolResult) else message.role
            if not parts or parts[-1].role != role:
                parts.append(Message(role, ()))
            parts[-1] = replace(parts[-1], content=(*parts[-1].content, self._block(block)))
        return parts

    def _block(self, block: Block) -> Block:
        match block:
            case ServerToolUse():
                name = self._names.get((block.server, block.name)) or composed(block.server, block.name)
                return ToolUse(block.id, name, block.input, block.cache)
            case ServerToolResult():
                return ToolResult(block.tool_use_id, block.content, block.is_error, block.cache)
        return block

    def _choice(self, request: TextRequest) -> ToolChoice:
        choice = request.tool_choice
        if choice.mode != "tool" or choice.name is None or choice.name in {tool.name for tool in request.tools}:
            return choice
        found = [name for name, tool in self._tools.items() if choice.name in (name, tool.name)]
        if choice.name not in found and len(found) != 1:
            raise Invalid(f"Tool '{choice.name[:64]}' not found in provided tools", field="tool_choice")
        return replace(choice, name=choice.name if choice.name in found else found[0])


def composed(server: str, name: str) -> str:
    """What the model calls a server's tool."""
    return NOT_IN_NAMES.sub("_", name if server == OWN else f"{server}_{name}")[:LONGEST_NAME] or "_"


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if others have it."""
    numbered, number = name, 2
    while numbered in taken:
        end = f"_{number}"
        numbered, number = name[: LONGEST_NAME - len(end)] + end, number + 1
    return numbered


def _as_tool(name: str, tool: HostedTool) -> Tool:
    return Tool(name, tool.description, {**tool.schema, "type": "object"}, cache=tool.cache)
