"""What was said, as OpenTelemetry's conventions for generative AI write it: JSON of messages made of parts.

Rule: bytes of images and documents stay out; that there was one is said.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from haiga.core.generation import Reply, TextRequest
from haiga.core.messages import Block, ServerToolResult, ServerToolUse, Text, Thinking, ToolResult, ToolUse


def asked(request: TextRequest) -> dict[str, str]:
    """What the model was given."""
    said = [{"role": message.role, "parts": _parts(message.content)} for message in request.messages]
    told = {"gen_ai.input.messages": _json(said)}
    return told | ({"gen_ai.system_instructions": _json(_parts(request.system))} if request.system else {})


def answered(reply: Reply) -> dict[str, str]:
    """What it said."""
    message = {"role": "assistant", "parts": _parts(reply.content), "finish_reason": reply.stop}
    return {"gen_ai.output.messages": _json([message])}


def _parts(blocks: Iterable[Block]) -> list[Mapping[str, Any]]:
    return [_part(block) for block in blocks]


def _part(block: Block) -> Mapping[str, Any]:
    match block:
        case Text():
            return {"type": "text", "content": block.text}
        case Thinking():
            return {"type": "reasoning", "content": block.thinking}
        case ToolUse() | ServerToolUse():
            return {"type": "tool_call", "id": block.id, "name": block.name, "arguments": dict(block.input)}
        case ToolResult() | ServerToolResult():
            return {"type": "tool_call_response", "id": block.tool_use_id, "response": _parts(block.content)}
    return {"type": type(block).__name__.lower()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
