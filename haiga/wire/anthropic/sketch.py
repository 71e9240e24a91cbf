"""Requests of the Messages API that somebody else may answer: read as this server reads them or, where it would refuse,
in outline, and kept as they were written.

Rule: an outline is for those who count, filter and choose; no model of this server is ever asked with one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import Source, TextRequest, sourced
from haiga.core.messages import Block, Message, Opaque, Role, Text, Tool, ToolResult
from haiga.wire.anthropic import rules
from haiga.wire.anthropic.messages_in import MessageRequest, read_count, read_message
from haiga.wire.body import read_object
from haiga.wire.upstream.messages_told import read_block

ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
Passes = Callable[[str], bool]


def read_passing(body: bytes, version: str | None, betas: Sequence[str], passes: Passes) -> MessageRequest:
    """As `read_message`; `passes` says of a model's name whether what it is asked may be handed on as it stands. Raises
    Invalid and Unsupported."""
    refused = None
    try:
        asked = read_message(body, version, betas)
    except (Invalid, Unsupported) as error:
        refused = error
        asked = _outlined(body, error)
    if not passes(asked.request.model):
        if refused is not None:
            raise refused
        return asked
    source = Source("messages", read_object(body), body, _headers(version, betas), refused)
    return MessageRequest(sourced(asked.request, source), asked.stream)


def read_passing_count(body: bytes, version: str | None, betas: Sequence[str], passes: Passes) -> TextRequest:
    """As `read_count`."""
    refused = None
    try:
        request = read_count(body, version, betas)
    except (Invalid, Unsupported) as error:
        refused = error
        request = _outlined(body, error).request
    if not passes(request.model):
        if refused is not None:
            raise refused
        return request
    return sourced(request, Source("messages", read_object(body), body, _headers(version, betas), refused))


def _headers(version: str | None, betas: Sequence[str]) -> dict[str, str]:
    """Raises Invalid for a version that nobody knows."""
    told = {"anthropic-version": rules.check_version(version)}
    return {**told, "anthropic-beta": ",".join(betas)} if betas else told


def _outlined(body: bytes, error: Invalid | Unsupported) -> MessageRequest:
    """What can be told of a body that was refused with this error, which is raised where that is too little."""
    try:
        raw = read_object(body)
    except Invalid:
        raise error from None
    model, most, messages = raw.get("model"), raw.get("max_tokens", 0), raw.get("messages")
    if not isinstance(model, str) or not isinstance(messages, list) or type(most) is not int or most < 0:
        raise error
    said = tuple(_message(message) for message in messages if isinstance(message, dict))
    if not said:
        raise error
    tools = raw.get("tools")
    request = TextRequest(
        model,
        said,
        most,
        system=tuple(block for block in _blocks(raw.get("system")) if isinstance(block, Text)),
        tools=tuple(_tool(tool) for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else (),
        extra={name: value for name, value in raw.items() if name not in ("model", "messages", "tools", "system")},
    )
    return MessageRequest(request, raw.get("stream") is True)


def _message(raw: Mapping[str, Any]) -> Message:
    return Message(ROLES.get(str(raw.get("role")), "user"), _blocks(raw.get("content")))


def _blocks(raw: Any) -> tuple[Block, ...]:
    if isinstance(raw, str):
        return (Text(raw),) if raw else ()
    return tuple(_block(each) for each in raw if isinstance(each, dict)) if isinstance(raw, list) else ()


def _block(raw: Mapping[str, Any]) -> Block:
    if raw.get("type") == "tool_result":
        return ToolResult(str(raw.get("tool_use_id")), _blocks(raw.get("content")), raw.get("is_error") is True)
    if raw.get("type") in ("mcp_tool_use", "mcp_tool_result"):  # to be carried out by whoever answers
        return Opaque(str(raw["type"]), extra=raw)
    return read_block(raw)


def _tool(raw: Mapping[str, Any]) -> Tool:
    schema = raw.get("input_schema")
    name, described = str(raw.get("name") or raw.get("type")), str(raw.get("description") or "")
    return Tool(name, described, schema if isinstance(schema, dict) else {}, kind=str(raw.get("type") or "custom"))
