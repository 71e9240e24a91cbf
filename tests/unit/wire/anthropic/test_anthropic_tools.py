"""What the Messages API demands of tools, enforced schemas and structured output, in its own words."""

from typing import Any

import pytest

from haiga.wire.anthropic.tools import CLIENT_RUN
from tests.unit.wire.anthropic.bodies import HI, OLD, read, refusal

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED: Any = {**CITY, "additionalProperties": False}
STRICT = "tools.0.custom.input_schema: "


def tool(schema: Any = CITY, **more: Any) -> dict[str, Any]:
    return {"name": "look", "input_schema": schema, **more}


def strict(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return tool(schema, strict=True)


def output(schema: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (CITY, "For 'object' type, 'additionalProperties' must be explicitly set to false"),
        ({**CLOSED, "minProperties": 1}, "For 'object' type, property 'minProperties' is not supported"),
        ({**CLOSED, "oneOf": [{}]}, "Schema type 'oneOf' is not supported"),
        ({**CLOSED, "properties": {"city": {"not": {}}}}, "Schema type 'not' is not supported"),
    ],
)
def test_what_cannot_be_enforced_is_named_wherever_a_schema_is(schema: Any, words: str):
    assert STRICT + words == refusal(tools=[tool(schema, strict=True)])
    assert f"output_config.format.schema: {words}" == refusal(output_config=output(schema))
    assert f"output_format.schema: {words}" == refusal(output_format=output(schema)["format"])
    assert read(tools=[tool(schema)])


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "'integer' type, properties maximum, minimum are"),
        ({"type": "number", "multipleOf": 2}, "'number' type, property 'multipleOf' is"),
        ({"type": ["string", "null"], "maxLength": 9}, "'string' type, property 'maxLength' is"),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "'array' type, property 'uniqueItems' is",
        ),
    ],
)
def test_bounds_of_enforced_schemas_are_named_with_their_type(schema: Any, words: str):
    assert f"{STRICT}For {words} not supported" == refusal(tools=[strict(days=schema)])


def test_lists_may_be_required_to_hold_something_and_no_more():
    assert read(tools=[strict(a={"type": "array", "minItems": 1})])
    words = "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    assert STRICT + words == refusal(tools=[strict(a={"type": "array", "minItems": 2})])


def test_keywords_that_are_data_are_no_schema():
    assert read(tools=[strict(minimum={"enum": ["maxLength"], "default": {"oneOf": 1}})])


def test_definitions_may_refer_to_each_other_but_not_in_a_circle():
    def linked(last: str) -> dict[str, Any]:
        return {**CLOSED, "properties": {"city": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": last}, "b": {}}}

    assert read(output_config=output(linked("#/$defs/b")))
    circle = "output_config.format.schema: Recursive schemas are not supported: #/$defs/a refers to itself"
    assert circle == refusal(output_config=output(linked("#/$defs/a")))
    assert "Recursive schemas" in refusal(output_config=output(linked("#")))
    assert "External $ref 'https://a.b/c' is not supported" in refusal(output_config=output(linked("https://a.b/c")))


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([{**strict(), "name": f"t{i}"} for i in range(21)], "Too many strict tools (21)."),
        (
            [tool({**CLOSED, "properties": {f"p{i}": {} for i in range(25)}, "required": []}, strict=True)],
            "Schemas contains too many optional parameters (25),",
        ),
        (
            [strict(**{f"p{i}": {"type": ["string", "null"]} for i in range(17)})],
            "Schemas contains too many parameters with union types (17 ",
        ),
    ],
)
def test_there_is_a_limit_to_what_is_compiled(tools: Any, words: str):
    assert refusal(tools=tools).startswith(words)


def test_a_schema_that_is_none_is_refused_and_other_dialects_are_read_as_the_newest():
    words = f"{STRICT}JSON schema is invalid. It must match JSON Schema draft 2020-12"
    assert refusal(tools=[tool({"type": "object", "properties": {"a": {"type": "text"}}})]).startswith(words)
    assert read(tools=[tool({**CITY, "$schema": "http://json-schema.org/draft-07/schema#"})])


def test_examples_are_held_to_the_schema():
    assert read(tools=[tool(input_examples=[{"city": "Rome"}])])
    path = "tools.0.custom.input_examples.1"
    assert refusal(tools=[tool(input_examples=[{"city": "Rome"}, {"city": 5}])]) == (
        f'{path}.city: does not match the tool\'s input_schema: 5 is not of type "string"'
    )
    assert refusal(tools=[tool(input_examples=[{"city": "Rome"}, {}])]).startswith(f"{path}: does not match")


def test_no_schema_makes_the_server_fetch_another():
    distant = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}
    assert STRICT in refusal(tools=[tool(distant, input_examples=[{"a": 1}])])


@pytest.mark.parametrize(("kind", "name"), CLIENT_RUN.items())
def test_tools_of_the_api_that_the_client_runs_have_the_apis_names(kind: str, name: str):
    assert name == read(tools=[{"type": kind, "name": name}]).tools[0].name
    assert f"tools.0.{kind}.name: Input should be '{name}'" == refusal(tools=[{"type": kind, "name": "other"}])
    assert f"tools.0.{kind}.name: Field required" == refusal(tools=[{"type": kind}])


@pytest.mark.parametrize("kind", ["web_search_20260318", "code_execution_20260521", "advisor_20260301"])
def test_tools_that_the_apis_servers_run_are_refused_by_name(kind: str):
    words = f"tools.1.type: `{kind}` tools are not supported by this server"
    assert words == refusal(tools=[tool(), {"type": kind, "name": "x"}])


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}])
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "look"}])
def test_a_forced_call_leaves_no_room_for_a_thought(thinking: Any, choice: Any):
    words = "Thinking may not be enabled when tool_choice forces tool use."
    assert words == refusal(tools=[tool()], tool_choice=choice, thinking=thinking, max_tokens=2000)
    assert read(tools=[tool()], tool_choice=choice, thinking={"type": "disabled"})
    assert read(tools=[tool()], tool_choice={"type": "none"}, thinking=thinking, max_tokens=2000)


def test_an_answer_of_a_schema_cannot_be_begun_by_the_caller():
    begun = [HI, {"role": "assistant", "content": "{"}]
    words = "messages: Prefilling assistant messages is not supported with `output_config.format`."
    assert words == refusal(messages=begun, output_config=output(CLOSED))
    assert words == refusal(messages=begun, output_format=output(CLOSED)["format"])


def test_an_answer_that_thinks_first_cannot_be_begun_with_words():
    begun = [HI, {"role": "assistant", "content": "So"}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    found = refusal(messages=begun, thinking=thinking, max_tokens=2000)
    assert found.startswith("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.")


def test_structured_output_is_asked_for_once_and_without_citations():
    both = refusal(output_config=output(CLOSED), output_format=output(CLOSED)["format"])
    assert both.startswith("output_format: Both `output_format` and `output_config.format` were provided.")
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "a"},
        "citations": {"enabled": True},
    }
    cited = refusal(OLD, messages=[{"role": "user", "content": [document]}], output_config=output(CLOSED))
    assert cited.startswith("messages.0.content.0.citations: Citations cannot be enabled together with")
