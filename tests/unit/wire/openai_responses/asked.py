"""Bodies of the Responses API, read as tests ask for them."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from haiga.core.errors import HaigaError
from haiga.core.generation import TextRequest
from haiga.core.messages import (
    Message,
    ToolUse,
)
from haiga.core.ports import ModelCard
from haiga.wire.openai_errors import envelope
from haiga.wire.openai_responses.read import Prompt, ResponseRequest, read_response
from tests.unit.wire.openai_responses.told import numbered

CARD = ModelCard("m", "M", created=0, context=100, max_output=64)
HI = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
SHELL = {"type": "custom", "name": "shell", "description": "Run."}
USED = ToolUse("c1", "look", {"a": 1})


def read(**fields: Any) -> ResponseRequest:
    return read_response(orjson.dumps({"model": "m", "input": [HI], **fields}), numbered())


def prompt(past: Sequence[Any] = (), **fields: Any) -> Prompt:
    asked = read(**fields)
    return asked.prompt(past, asked.items, CARD)


def request(**fields: Any) -> TextRequest:
    return prompt(**fields).request


def messages(*items: Any) -> tuple[Message, ...]:
    return request(input=list(items)).messages


def refusal(**fields: Any) -> tuple[str | None, str | None, str]:
    """The param, code and message of the error."""
    with pytest.raises(HaigaError) as caught:
        prompt(**fields)
    said = envelope(caught.value)["error"]
    return said["param"], said["code"], said["message"]
