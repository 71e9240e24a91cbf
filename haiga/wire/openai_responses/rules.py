"""What the Responses API demands of a body beyond its shape: rules over several fields, and features not offered here.

Rule: every complaint is in the API's own words and names the field; a check never changes what it looks at.
"""

from collections.abc import Iterable, Sequence

from haiga.core.errors import Invalid, Unsupported
from haiga.wire.openai_body import listed, missing, unsupported_values
from haiga.wire.openai_chat.rules import check_data_url, check_moderation, unsupported
from haiga.wire.openai_responses import items, shapes
from haiga.wire.openai_responses.codes import decode_summary
from haiga.wire.openai_responses.mcp import check_mcp

SAID = ("output_text", "refusal")
GIVEN = ("input_text", "input_image", "input_file")


def check(body: shapes.ResponseBody) -> None:
    """Every rule but those on calls and their outputs, which may be kept ones. Raises Invalid or Unsupported."""
    if body.prompt is not None:
        raise unsupported("prompt")
    check_moderation(body.moderation)
    if body.background and body.store is False:
        raise Invalid("Background mode requires 'store' to be true.", field="background", code="invalid_value")
    if body.stream_options is not None and not body.stream:
        raise Invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", field="stream_options"
        )
    if body.previous_response_id is not None and body.conversation is not None:
        raise Invalid(
            "Mutually exclusive parameters: 'conversation' and 'previous_response_id'. Ensure you are only providing "
            "one of them.",
            field="conversation",
            code="mutually_exclusive_parameters",
        )
    if body.input is None and body.previous_response_id is None and body.conversation is None:
        raise missing("input")
    _check_tools(body)
    check_items(body.input or (), "input")


# --- tools ---


def _check_tools(body: shapes.ResponseBody) -> None:
    for i, tool in enumerate(body.tools or ()):
        if isinstance(tool, shapes.OtherTool):
            raise _no_tool(tool.type, body.model, f"tools[{i}]")
    check_mcp(body.tools or ())
    names = [tool.name for tool in body.tools or () if isinstance(tool, shapes.FunctionTool | shapes.CustomTool)]
    elsewhere = any(isinstance(tool, shapes.McpTool) for tool in body.tools or ())
    if len(set(names)) < len(names):
        raise Invalid("Tool names must be unique.", field="tools")
    match body.tool_choice:
        case shapes.HostedChoice(type=name):
            raise _no_tool(name, body.model, "tool_choice")
        case shapes.NamedChoice(name=name):
            _check_choice(name, names, "tool_choice")
        case shapes.AllowedChoice(tools=allowed):
            for i, one in enumerate(allowed):
                _check_allowed(one, names, body.model, f"tool_choice.tools[{i}]")
        case choice if choice is not None and choice.type == "required" and not (names or elsewhere):
            raise _needs_tools()


def _check_allowed(tool: shapes.AllowedTool, names: Sequence[str], model: str, path: str) -> None:
    if tool.type not in ("function", "custom"):
        raise _no_tool(tool.type[:64], model, path)
    if tool.name is None:
        raise missing(f"{path}.name")
    _check_choice(tool.name, names, path)


def _check_choice(name: str, names: Sequence[str], path: str) -> None:
    if not names:
        raise _needs_tools()
    if name not in names:
        raise Invalid(f"Tool choice '{name[:64]}' not found in 'tools' parameter.", field=path)


def _no_tool(name: str, model: str, path: str) -> Unsupported:
    return Unsupported(f"Tool '{name}' is not supported with {model}.", field=path, code="unsupported_value")


def _needs_tools() -> Invalid:
    return Invalid("Tool choice is only allowed when 'tools' are specified.", field="tool_choice")


# --- items ---


def check_items(given: Sequence[items.Known], path: str) -> None:
    for i, item in enumerate(given):
        match item:
            case items.CompactionTrigger() if i < len(given) - 1:
                raise Invalid("A 'compaction_trigger' must be the last item.", field=f"{path}[{i}]")
            case items.CompactionItem(encrypted_content=code) if decode_summary(code) is None:
                raise Invalid(
                    "The encrypted content of the compaction could not be verified: it is not of this server.",
                    field=f"{path}[{i}].encrypted_content",
                    code="invalid_encrypted_content",
                )
            case items.OtherItem(type=name):
                raise Unsupported(
                    f"Items of type '{name}' are not supported by this server.",
                    field=f"{path}[{i}]",
                    code="unsupported_value",
                )
            case items.MessageItem():
                _check_message(item, f"{path}[{i}]")
            case items.CallOutputItem():
                _check_parts(item.output, f"{path}[{i}].output")


def _check_message(message: items.MessageItem, path: str) -> None:
    allowed = SAID if message.role == "assistant" else GIVEN
    for i, part in enumerate(message.content):
        if isinstance(part, items.InputAudio):
            raise Unsupported(
                "Audio content is not supported with this model.",
                field=f"{path}.content[{i}]",
                code="unsupported_content_type",
            )
        if part.type not in allowed:
            raise unsupported_values(part.type, allowed, f"{path}.content[{i}].type")
    _check_parts(message.content, f"{path}.content")


def _check_parts(parts: Iterable[items.AnyPart], path: str) -> None:
    for i, part in enumerate(parts):
        match part:
            case items.InputImage():
                _check_one_of(part, ("image_url", "file_id"), f"{path}[{i}]")
                _check_url(part.image_url, f"{path}[{i}].image_url")
            case items.InputFile():
                _check_one_of(part, ("file_data", "file_id", "file_url"), f"{path}[{i}]")
                _check_url(part.file_url, f"{path}[{i}].file_url")
                if part.file_data is not None and part.file_data.startswith("data:"):
                    check_data_url(f"{path}[{i}].file_data", part.file_data)


def _check_one_of(part: items.AnyPart, names: Sequence[str], path: str) -> None:
    if sum(getattr(part, name) is not None for name in names) != 1:
        raise Invalid(
            f"Invalid value for '{path}': expected exactly one of {listed(names)}.", field=path, code="invalid_value"
        )


def _check_url(url: str | None, path: str) -> None:
    if url is None:
        return
    if not url.startswith(("http://", "https://", "data:")):
        raise Invalid(
            f"Invalid '{path}'. Expected a valid URL, but got a value with an invalid format.",
            field=path,
            code="invalid_value",
        )
    if url.startswith("data:"):
        check_data_url(path, url)


def check_calls(said: Sequence[items.Known]) -> None:
    """Every output answers a call before it, and every call has its output. Raises Invalid."""
    open_calls: dict[str, str] = {}
    for item in said:
        match item:
            case items.FunctionCallItem() | items.CustomCallItem():
                open_calls[item.call_id] = "function call" if item.type == "function_call" else "custom tool call"
            case items.CallOutputItem() if open_calls.pop(item.call_id, None) is None:
                kind = "function call" if item.type == "function_call_output" else "custom tool call"
                raise Invalid(f"No tool call found for {kind} output with call_id {item.call_id[:64]}.", field="input")
    for call_id, kind in open_calls.items():
        raise Invalid(f"No tool output found for {kind} {call_id[:64]}.", field="input")
