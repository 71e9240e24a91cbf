"""Forced calls in one dialect of each kind, through the Messages API and a served model with random weights."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from tokenizers import Tokenizer

from haiga.text.formats import named
from haiga.text.formats.harmony import CHANNEL, CONSTRAIN, ENDS, MESSAGE, START
from tests.chains import link
from tests.e2e.test_serve import Server, serving
from tests.served import TEMPLATE, make_model, write_tokenizer

# each dialect with the special tokens that its models have for it
DIALECTS = {
    "hermes": (),
    "qwen3_coder": ("<tool_call>", "</tool_call>"),
    "llama3_json": (),
    "mistral": ("[TOOL_CALLS]",),
    "kimi_k2": ("<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>"),
    "gemma4": ("<|tool_call>", "<tool_call|>", '<|"|>'),
    "harmony": (CHANNEL, CONSTRAIN, MESSAGE, START, *ENDS),
}
# what a model has to like so that it comes to the call: on channels it may talk before
LIKINGS = {"harmony": (f"{CHANNEL}c", "y ")}
TRIP: Any = {
    "name": "plan-trip",
    "description": "Plans a trip.",
    "input_schema": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Paris", "São Paulo", 'L"Aquila']},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "abroad": {"type": "boolean"},
            "stops": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 2},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = []
    for name, special in DIALECTS.items():
        directory = tmp_path_factory.mktemp(name)
        make_model(directory, max_position_embeddings=2048, vocab_size=261 + len(special))
        hints = " ".join(named(name).hints[0])
        write_tokenizer(directory, TEMPLATE + f"{{% set dialect = {hints!r} %}}")
        path = directory / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.add_special_tokens(list(special))
        tokenizer.save(str(path))
        link(directory, [tokenizer.encode(chain).ids for chain in LIKINGS.get(name, ())])
        flags += ["--model", f"{name}={directory}"]
    with serving(tmp_path_factory.mktemp("data"), "--no-starter", *flags) as server:
        yield server


@pytest.mark.parametrize("name", DIALECTS)
def test_a_forced_call_is_made_and_valid_in_every_kind_of_dialect(server: Server, name: str) -> None:
    choice = {"type": "tool", "name": "plan-trip", "disable_parallel_tool_use": True}
    messages: Any = [{"role": "user", "content": "Plan."}]
    asked: Any = {"model": name, "max_tokens": 600, "messages": messages, "tools": [TRIP], "tool_choice": choice}
    validator = jsonschema_rs.validator_for(TRIP["input_schema"])
    for _ in range(2):
        whole = server.client.messages.create(**asked)
        with server.client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        for message in (whole, streamed):
            (call,) = message.content
            assert ("tool_use", "tool_use", "plan-trip") == (message.stop_reason, call.type, call.name)
            assert validator.is_valid(call.input)
