"""What is wrong with a body of the Responses API is refused by the name of the field."""

from typing import Any

import pytest

from haiga.core.errors import Invalid, Unsupported
from tests.unit.wire.openai_responses.asked import CALL, HI, LOOK, OUTPUT, prompt, read, refusal

# --- whole bodies ---


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, "model", "invalid_type"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "missing_required_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [5]}, "input[0]", "invalid_type"),
        ({"input": [{}]}, "input[0].role", "missing_required_parameter"),
        ({"input": [{"type": "poem"}]}, "input[0].type", "invalid_value"),
        ({"input": [HI | {"role": "tool"}]}, "input[0].role", "invalid_value"),
        (
            {"input": [HI | {"content": [{"type": "output_text", "text": "a"}]}]},
            "input[0].content[0].type",
            "invalid_value",
        ),
        ({"input": [HI | {"content": [{"type": "input_audio"}]}]}, "input[0].content[0]", "unsupported_content_type"),
        ({"input": [HI | {"content": [{"type": "input_image"}]}]}, "input[0].content[0]", "invalid_value"),
        (
            {"input": [HI | {"content": [{"type": "input_image", "image_url": "ftp://x"}]}]},
            "input[0].content[0].image_url",
            "invalid_value",
        ),
        ({"input": [HI, {"type": "computer_call"}]}, "input[1]", "unsupported_value"),
        ({"input": [HI | {"id": "x" * 65}]}, "input[0].id", "string_above_max_length"),
        ({"input": [HI, CALL]}, "input", None),
        ({"input": [HI, OUTPUT]}, "input", None),
        ({"max_output_tokens": 0}, "max_output_tokens", "integer_below_min_value"),
        ({"max_output_tokens": 65}, "max_output_tokens", "invalid_value"),
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        ({"truncation": "middle"}, "truncation", "invalid_value"),
        ({"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n"}}},
            "text.format.schema",
            "missing_required_parameter",
        ),
        ({"previous_response_id": "a", "conversation": "b"}, "conversation", "mutually_exclusive_parameters"),
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"stream_options": {}}, "stream_options", None),
        ({"prompt": {"id": "p"}}, "prompt", "unsupported_parameter"),
        ({"context_management": [{"type": "x"}]}, "context_management[0].type", "invalid_value"),
        ({"moderation": {}}, "moderation.model", "missing_required_parameter"),
        (
            {"moderation": {"model": "omni", "policy": {"input": {"mode": "block"}}}},
            "moderation.policy.input.mode",
            "unsupported_value",
        ),
        ({"tools": [LOOK, LOOK]}, "tools", None),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice", None),
        ({"tools": [LOOK], "tool_choice": {"type": "web_search_preview"}}, "tool_choice", "unsupported_value"),
        (
            {"tools": [LOOK], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}},
            "tool_choice.tools[0]",
            "unsupported_value",
        ),
    ],
)
def test_refusals_name_the_field(fields: dict[str, Any], param: str, code: str | None) -> None:
    assert (param, code) == refusal(**fields)[:2]


HOSTED = ["web_search", "web_search_preview", "file_search", "computer_use_preview", "code_interpreter"]


@pytest.mark.parametrize("name", [*HOSTED, "image_generation", "local_shell", "shell", "apply_patch"])
def test_tools_of_the_apis_own_are_refused_by_name(name: str) -> None:
    expected = ("tools[1]", "unsupported_value", f"Tool '{name}' is not supported with m.")
    assert expected == refusal(tools=[LOOK, {"type": name}])


def test_calls_without_outputs_and_outputs_without_calls_are_named() -> None:
    assert "No tool output found for function call c1." == refusal(input=[HI, CALL])[2]
    said = refusal(input=[HI, OUTPUT | {"type": "custom_tool_call_output"}])[2]
    assert "No tool call found for custom tool call output with call_id c1." == said


def test_a_complaint_about_a_block_names_the_item_that_it_came_from() -> None:
    past = read(input=[HI]).items
    made = prompt(past, input=[HI, HI | {"content": [{"type": "input_text", "text": "a"}] * 2}])
    placed = made.placed(Unsupported("no", field="messages.2.content.1"))
    assert "input[1].content[1]" == placed.field
    assert "previous_response_id.content[0]" == made.placed(Unsupported("no", field="messages.0.content.0")).field
    assert "text.format" == made.placed(Unsupported("no", field="output_config.format")).field
    assert "input" == made.placed(Invalid("prompt is too long: 9 tokens > 8 maximum")).field
