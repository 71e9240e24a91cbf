"""What Chat Completions demands of a body beyond its shape: rules over several fields, and features not offered here.

Rule: every complaint is in the API's own words and names the field; a check never changes what it looks at.
"""

from collections.abc import Sequence

from haiga.core.errors import Invalid, Unsupported
from haiga.wire.openai_body import missing
from haiga.wire.openai_chat import shapes


def check(body: shapes.ChatBody, *, streamed_options: bool = True) -> None:
    """Every rule, cheapest first. Raises Invalid or Unsupported. `streamed_options`: options of a stream are refused
    where there is none (OpenRouter, where they have no effect, takes them)."""
    _check_features(body)
    check_moderation(body.moderation)
    _check_generation(body)
    check_sampling(body, streamed_options)
    _check_tools(body)
    for i, message in enumerate(body.messages):
        _check_message(f"messages[{i}]", message)
    _check_order(body.messages)


def unsupported(param: str) -> Unsupported:
    return Unsupported(
        f"Unsupported parameter: '{param}' is not supported with this model.", field=param, code="unsupported_parameter"
    )


def _check_features(body: shapes.ChatBody) -> None:
    """Known features that would change the answer and are not offered here are refused by name."""
    for name in ("audio", "web_search_options"):
        if getattr(body, name) is not None:
            raise unsupported(name)
    for i, modality in enumerate(body.modalities or ()):
        if modality != "text":
            raise Unsupported(
                f"Unsupported value: 'modalities[{i}]' does not support '{modality[:40]}' with this model.",
                field=f"modalities[{i}]",
                code="unsupported_value",
            )


def check_moderation(wanted: shapes.ModerationWanted | None) -> None:
    """What is stopped is a matter of policies here, which hold whether a request asks or not."""
    if wanted is None:
        return
    modes = wanted.policy or shapes.ModerationModes()
    for side, wish in (("input", modes.input), ("output", modes.output)):
        if wish is not None and wish.mode == "block":
            field = f"moderation.policy.{side}.mode"
            raise Unsupported(
                f"Unsupported value: '{field}' does not support 'block' with this model. Name a policy in the "
                "haiga-policy header.",
                field=field,
                code="unsupported_value",
            )


def _check_generation(body: shapes.ChatBody) -> None:
    if body.top_logprobs is not None and not body.logprobs:
        raise Invalid("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", field="top_logprobs")
    both = body.max_tokens is not None and body.max_completion_tokens is not None
    if both and body.max_tokens != body.max_completion_tokens:
        raise Invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", field="max_tokens"
        )


def check_sampling(body: shapes.SamplingBody, streamed_options: bool = True) -> None:
    """What Completions, the older API, demands too."""
    if streamed_options and body.stream_options is not None and not body.stream:
        raise Invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", field="stream_options"
        )
    for token in body.logit_bias or ():
        if not (token.isascii() and token.isdigit() and len(token) < 10):
            raise Invalid(
                f"Invalid key in 'logit_bias': {token[:40]}. You should only be submitting non-negative integers.",
                field="logit_bias",
                code="invalid_value",
            )


# --- tools ---


def _check_tools(body: shapes.ChatBody) -> None:
    if body.tools and body.functions:
        raise Invalid("'functions' and 'tools' may not be given together.", field="functions")
    names = tool_names(body)
    if len(set(names)) < len(names):
        raise Invalid("Tool names must be unique.", field="tools" if body.tools else "functions")
    match body.tool_choice:
        case shapes.ModeChoice(type="required") if not body.tools:
            raise _needs_tools("tool_choice", "tools")
        case shapes.FunctionChoice(function=wanted) | shapes.CustomChoice(custom=wanted):
            _check_choice(wanted.name, body.tools, names, "tool_choice", "tools")
        case shapes.AllowedChoice(allowed_tools=allowed):
            for i, tool in enumerate(allowed.tools):
                path = f"tool_choice.allowed_tools.tools[{i}]"
                _check_choice(allowed_name(tool, path), body.tools, names, path, "tools")
    if body.function_call is not None and body.function_call.name is not None:
        _check_choice(body.function_call.name, body.functions, names, "function_call", "functions")


def tool_names(body: shapes.ChatBody) -> list[str]:
    named = [
        tool.function.name if isinstance(tool, shapes.FunctionToolParam) else tool.custom.name
        for tool in body.tools or ()
    ]
    return named + [function.name for function in body.functions or ()]


def allowed_name(tool: shapes.AllowedTool, path: str) -> str:
    named = tool.function if tool.type == "function" else tool.custom
    if named is None:
        raise missing(f"{path}.{tool.type}")
    return named.name


def _check_choice(name: str, given: Sequence[object] | None, names: Sequence[str], param: str, tools: str) -> None:
    if not given:
        raise _needs_tools(param, tools)
    if name not in names:
        raise Invalid(
            f"Invalid value for '{param}': function '{name[:64]}' not found in '{tools}' parameter.", field=param
        )


def _needs_tools(param: str, tools: str) -> Invalid:
    return Invalid(f"Invalid value for '{param}': '{param}' is only allowed when '{tools}' are specified.", field=param)


# --- messages ---


def _check_message(path: str, message: shapes.AnyMessage) -> None:
    match message:
        case shapes.UserMessage():
            for i, part in enumerate(message.content):
                _check_part(f"{path}.content[{i}]", part)
        case shapes.ToolMessage():
            for i, part in enumerate(message.content):
                _check_part(f"{path}.content[{i}]", part)
        case shapes.AssistantMessage():
            _check_assistant(path, message)


def _check_part(path: str, part: shapes.AnyPart) -> None:
    match part:
        case shapes.AudioPart():
            raise Unsupported(
                "Audio content is not supported with this model.", field=path, code="unsupported_content_type"
            )
        case shapes.ImagePart(image_url=shapes.ImageUrl(url=url)):
            if not url.startswith(("http://", "https://", "data:")):
                raise Invalid(
                    f"Invalid '{path}.image_url.url'. Expected a valid URL, but got a value with an invalid format.",
                    field=f"{path}.image_url.url",
                    code="invalid_value",
                )
            if url.startswith("data:"):
                check_data_url(f"{path}.image_url.url", url)
        case shapes.FilePart(file=file):
            if (file.file_data is None) == (file.file_id is None):
                raise missing(f"{path}.file.file_id")
            if file.file_data is not None and file.file_data.startswith("data:"):
                check_data_url(f"{path}.file.file_data", file.file_data)


def check_data_url(path: str, url: str) -> None:
    head, comma, _ = url.partition(",")
    if not comma or not head.endswith(";base64") or "/" not in head:
        raise Invalid(
            f"Invalid '{path}'. Expected a base64-encoded data URL with a MIME type (e.g. "
            "'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value without the required format.",
            field=path,
            code="invalid_value",
        )


def _check_assistant(path: str, message: shapes.AssistantMessage) -> None:
    if message.audio is not None:
        raise Unsupported("Audio content is not supported with this model.", field=f"{path}.audio")
    said = (message.content, message.refusal, message.tool_calls, message.function_call)
    if all(part is None for part in said):
        raise Invalid(
            "Invalid value for 'content': expected a string, got null.", field=f"{path}.content", code="invalid_type"
        )


def _check_order(messages: Sequence[shapes.AnyMessage]) -> None:
    """Every call is answered by tool messages right after it, and every tool message answers such a call."""
    open_at, waiting = 0, list[str]()
    for i, message in enumerate(messages):
        if isinstance(message, shapes.ToolMessage):
            if message.tool_call_id not in waiting:
                raise Invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    field=f"messages[{i}].role",
                )
            waiting.remove(message.tool_call_id)
            continue
        _check_answered(open_at, waiting)
        if isinstance(message, shapes.AssistantMessage):
            open_at, waiting = i, [call.id for call in message.tool_calls or ()]
    _check_answered(open_at, waiting)


def _check_answered(at: int, waiting: Sequence[str]) -> None:
    if waiting:
        raise Invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)[:200]}",
            field=f"messages[{at}].role",
        )
