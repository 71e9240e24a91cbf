"""What the Messages API demands of tools, of the choice among them, and of structured output.

Rule: every complaint is in the API's own words and names the field; a tool that this server cannot offer is refused
by name.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from haiga.core.errors import Invalid, Unsupported
from haiga.wire.anthropic import shapes, tool_shapes
from haiga.wire.anthropic.schemas import Tally, check_schema

# Tools that the API defines and the client runs, by the name that the API demands of them.
CLIENT_RUN = {
    "bash_20241022": "bash",
    "bash_20250124": "bash",
    "text_editor_20241022": "str_replace_editor",
    "text_editor_20250124": "str_replace_editor",
    "text_editor_20250429": "str_replace_based_edit_tool",
    "text_editor_20250728": "str_replace_based_edit_tool",
    "memory_20250818": "memory",
    "computer_20241022": "computer",
    "computer_20250124": "computer",
    "computer_20251124": "computer",
}
NO_SCHEMA = "JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12)."
MAX_SAID = 500  # characters of a validator's complaint


def check_tools(body: shapes.CountBody) -> None:
    """Every rule about tools. Raises Invalid, or Unsupported naming a tool that is not offered here."""
    names = [tool.name for tool in body.tools or () if not isinstance(tool, tool_shapes.McpToolset) and tool.name]
    if len(set(names)) != len(names):
        raise Invalid("Tool names must be unique.", field="tools")
    for i, tool in enumerate(body.tools or ()):
        if isinstance(tool, tool_shapes.CustomTool):
            _check_custom(f"tools.{i}.custom", tool)
        elif isinstance(tool, tool_shapes.DefinedTool):
            _check_defined(f"tools.{i}", tool)
    _check_choice(body, names)
    _check_enforced(body)


def check_output(body: shapes.CountBody) -> None:
    """Structured output beside what cannot go with it."""
    configured = body.output_config.format if body.output_config else None
    if configured and body.output_format:
        raise Invalid(
            "Both `output_format` and `output_config.format` were provided. Use only `output_config.format` "
            "(`output_format` is deprecated).",
            field="output_format",
        )
    if not (configured or body.output_format):
        return
    if body.messages and body.messages[-1].role == "assistant" and body.messages[-1].content:
        raise Invalid("Prefilling assistant messages is not supported with `output_config.format`.", field="messages")
    for m, message in enumerate(body.messages):
        for b, block in enumerate(message.content):
            if isinstance(block, shapes.DocumentBlock | shapes.SearchResultBlock) and _cites(block):
                raise Invalid(
                    "Citations cannot be enabled together with `output_config.format`.",
                    field=f"messages.{m}.content.{b}.citations",
                )


def _cites(block: shapes.DocumentBlock | shapes.SearchResultBlock) -> bool:
    return bool(block.citations and block.citations.enabled)


def _check_custom(path: str, tool: tool_shapes.CustomTool) -> None:
    schema = tool.input_schema
    if schema.get("type") != "object":
        complaint = "Input should be 'object'" if "type" in schema else "Field required"
        raise Invalid(complaint, field=f"{path}.input_schema.type")
    if not jsonschema_rs.meta.is_valid(_undated(schema)):
        raise Invalid(NO_SCHEMA, field=f"{path}.input_schema")
    if tool.input_examples:
        _check_examples(path, tool.input_examples, schema)


def _undated(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the dialect it names: the API reads every one as draft 2020-12."""
    return {key: value for key, value in schema.items() if key != "$schema"}


def _check_examples(path: str, examples: list[dict[str, Any]], schema: Mapping[str, Any]) -> None:
    try:
        validator = jsonschema_rs.validator_for(_undated(schema), offline=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise Invalid(f"{NO_SCHEMA} {str(error)[:MAX_SAID]}", field=f"{path}.input_schema") from None
    for i, example in enumerate(examples):
        if problem := next(iter(validator.iter_errors(example)), None):
            raise Invalid(
                f"does not match the tool's input_schema: {problem.message[:MAX_SAID]}",
                field=".".join((f"{path}.input_examples.{i}", *map(str, problem.instance_path))),
            )


def _check_defined(path: str, tool: tool_shapes.DefinedTool) -> None:
    """A tool of the API's own: one that the client runs, under the name that the API gives it."""
    name = CLIENT_RUN.get(tool.type)
    if name is None:
        raise Unsupported(f"`{tool.type}` tools are not supported by this server", field=f"{path}.type")
    if tool.name is None:
        raise Invalid("Field required", field=f"{path}.{tool.type}.name")
    if tool.name != name:
        raise Invalid(f"Input should be '{name}'", field=f"{path}.{tool.type}.name")


def _check_choice(body: shapes.CountBody, names: list[str]) -> None:
    choice = body.tool_choice
    if not isinstance(choice, tool_shapes.AnyChoice | tool_shapes.NamedChoice):
        return
    elsewhere = bool(body.mcp_servers) or any(isinstance(tool, tool_shapes.McpToolset) for tool in body.tools or ())
    if not (body.tools or elsewhere):
        raise Invalid("tool_choice may only be specified while providing tools.", field="tool_choice")
    if isinstance(choice, tool_shapes.NamedChoice) and choice.name not in names and not elsewhere:
        raise Invalid(f"Tool '{choice.name[:64]}' not found in provided tools", field="tool_choice")
    if isinstance(body.thinking, shapes.EnabledThinking | shapes.AdaptiveThinking):
        raise Invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_enforced(body: shapes.CountBody) -> None:
    """The schemas that an answer will be held to, alone and together."""
    tally = Tally()
    for i, tool in enumerate(body.tools or ()):
        if isinstance(tool, tool_shapes.CustomTool) and tool.strict:
            tally.tools += 1
            check_schema(tool.input_schema, f"tools.{i}.custom.input_schema", tally)
    if body.output_config and body.output_config.format:
        check_schema(body.output_config.format.json_schema, "output_config.format.schema", tally)
    elif body.output_format:
        check_schema(body.output_format.json_schema, "output_format.schema", tally)
    tally.check()
