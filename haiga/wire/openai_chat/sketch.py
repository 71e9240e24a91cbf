"""Requests of Chat Completions that somebody else may answer: as wire/anthropic/sketch.py for this form."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import Source, TextRequest, sourced
from haiga.core.messages import Block, Message, Opaque, Role, Text, Tool, ToolResult, ToolUse
from haiga.wire.body import read_object
from haiga.wire.openai_chat.messages_in import read_arguments
from haiga.wire.openai_chat.read import ChatRequest, Form, read_chat

ROLES: Mapping[str, Role] = {"assistant": "assistant", "system": "system", "developer": "system"}


def read_passing_chat(body: bytes, passes: Callable[[str], bool]) -> ChatRequest:
    """As `read_chat`; `passes` says of a model's name whether what it is asked may be handed on as it stands. Raises
    Invalid and Unsupported."""
    refused = None
    try:
        asked = read_chat(body)
    except (Invalid, Unsupported) as error:
        refused = error
        asked = _outlined(body, error)
    if not passes(asked.request.model):
        if refused is not None:
            raise refused
        return asked
    source = Source("chat", read_object(body), body, refused=refused)
    return replace(asked, request=sourced(asked.request, source))


def _outlined(body: bytes, error: Invalid | Unsupported) -> ChatRequest:
    """What can be told of a body that was refused with this error, which is raised where that is too little."""
    try:
        raw = read_object(body)
    except Invalid:
        raise error from None
    model, messages, n = raw.get("model"), raw.get("messages"), raw.get("n") or 1
    if not isinstance(model, str) or not isinstance(messages, list) or n != 1:
        raise error
    said = tuple(_message(message) for message in messages if isinstance(message, dict))
    if not said:
        raise error
    most = raw.get("max_completion_tokens") or raw.get("max_tokens")
    tools = raw.get("tools")
    request = TextRequest(
        model,
        said,
        0,
        tools=tuple(_tool(tool) for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else (),
        extra={name: value for name, value in raw.items() if name not in ("model", "messages", "tools")},
    )
    options = raw.get("stream_options")
    told = isinstance(options, dict) and options.get("include_usage") is True
    form = Form(stream=raw.get("stream") is True, include_usage=told)
    return ChatRequest(request, form, (), most if type(most) is int and most > 0 else None)


def _message(raw: Mapping[str, Any]) -> Message:
    role, said = str(raw.get("role")), _parts(raw.get("content"))
    if role == "tool":
        return Message("user", (ToolResult(str(raw.get("tool_call_id")), said),))
    calls = raw.get("tool_calls")
    made = [_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return Message(ROLES.get(role, "user"), (*said, *made))


def _parts(raw: Any) -> tuple[Block, ...]:
    if isinstance(raw, str):
        return (Text(raw),) if raw else ()
    return tuple(_part(each) for each in raw if isinstance(each, dict)) if isinstance(raw, list) else ()


def _part(raw: Mapping[str, Any]) -> Block:
    text = raw.get("text")
    return Text(text) if isinstance(text, str) else Opaque(str(raw.get("type")), extra=raw)


def _call(raw: Mapping[str, Any]) -> ToolUse:
    function = raw.get("function")
    named = function if isinstance(function, dict) else {}
    return ToolUse(str(raw.get("id")), str(named.get("name")), read_arguments(str(named.get("arguments") or "")))


def _tool(raw: Mapping[str, Any]) -> Tool:
    function = raw.get("function")
    named = function if isinstance(function, dict) else raw
    schema = named.get("parameters")
    name, described = str(named.get("name") or raw.get("type")), str(named.get("description") or "")
    return Tool(name, described, schema if isinstance(schema, dict) else {})
