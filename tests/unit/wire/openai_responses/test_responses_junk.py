"""Whatever a body holds, reading it gives a request for a model, or an error that says what is wrong."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from haiga.core.errors import Invalid, NotFound, Unsupported
from haiga.core.ports import ModelCard
from haiga.wire.openai_errors import write_error
from haiga.wire.openai_responses.conversations import read_conversation
from haiga.wire.openai_responses.read import read_response
from haiga.wire.openai_responses.write import head
from tests.unit.wire.openai.junk import VALUES, spoilt
from tests.unit.wire.openai_responses.told import numbered

CARD = ModelCard("m", "M", created=0, context=100, max_output=64)
TEXT = {"type": "input_text", "text": "Hi"}
BODY: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "developer", "content": "A"},
        {"role": "user", "content": [TEXT, {"type": "input_image", "image_url": "https://x/y.png"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [TEXT]},
        {"type": "custom_tool_call", "call_id": "d", "name": "shell", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
    ],
    "tools": [{"type": "function", "name": "look", "parameters": {}}, {"type": "custom", "name": "shell"}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    "reasoning": {"effort": "low"},
    "metadata": {"k": "v"},
    "include": ["reasoning.encrypted_content"],
    "conversation": {"id": "conv_1"},
}


def outcome(body: bytes) -> str:
    try:
        asked = read_response(body, numbered())
        orjson.dumps(head(asked, id="resp_1", created=0, model="m"))
        references = [item for item in asked.items if item["type"] == "item_reference"]
        if not references:
            orjson.dumps([*asked.items])
            asked.prompt((), asked.items, CARD)
    except (Invalid, Unsupported, NotFound) as error:
        assert orjson.loads(write_error(error).body)["error"]["message"]
        return "refused"
    return "read"


@settings(max_examples=400, deadline=None)
@given(spoilt(BODY))
def test_a_spoilt_body_is_read_or_refused(body: dict[str, Any]) -> None:
    assert outcome(orjson.dumps(body)) in ("read", "refused")


@settings(max_examples=200, deadline=None)
@given(spoilt({"items": BODY["input"], "metadata": {"k": "v"}}))
def test_a_spoilt_conversation_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        metadata, items = read_conversation(orjson.dumps(body), numbered())
    except (Invalid, Unsupported) as error:
        assert orjson.loads(write_error(error).body)["error"]["message"]
    else:
        assert all(item["id"] for item in items) and orjson.dumps(metadata)


@given(VALUES)
def test_any_json_is_read_or_refused(value: Any) -> None:
    assert outcome(orjson.dumps(value)) in ("read", "refused")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 5000, b"\xff\xfe", b"null", b'{"model":' * 500, b'"\\ud800"'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert "refused" == outcome(body)


def test_the_body_that_is_spoilt_is_good() -> None:
    assert "read" == outcome(orjson.dumps(BODY))
