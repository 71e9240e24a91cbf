"""Responses' events read back as a client reads them, from the pieces alone."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import orjson

from haiga.core.generation import Event, TextRequest
from haiga.wire.openai_responses.read import Form, Prompt, read_response
from haiga.wire.openai_responses.stream import ResponseWriter
from haiga.wire.openai_responses.write import head

FREE = frozenset({"shell"})
PLAIN = Form()
SMALLEST = {"model": "m", "input": "Hi"}


def numbered() -> Any:
    """Ids that count up."""
    numbers = count(1)
    return lambda prefix: f"{prefix}_{next(numbers)}"


def writer(form: Form = PLAIN, **body: Any) -> ResponseWriter:
    asked = read_response(orjson.dumps(SMALLEST | body), numbered())
    said = head(asked, id="resp_1", created=5, model="m")
    placed = Prompt(TextRequest("m", (), 1), origins=(("input[4]",),)).placed
    return ResponseWriter(said, form, placed, numbered(), lambda: 9.5)


def told(events: Sequence[Event], form: Form = PLAIN, **body: Any) -> list[dict[str, Any]]:
    """The API's events, as they are after their way over the wire."""
    made = writer(form, **body)
    return [orjson.loads(orjson.dumps(said)) for event in events for said in made.write(event)]


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


PIECES = {
    "response.output_text.delta": ("content", "text"),
    "response.reasoning_text.delta": ("content", "text"),
    "response.reasoning_summary_text.delta": ("summary", "text"),
    "response.function_call_arguments.delta": (None, "arguments"),
    "response.custom_tool_call_input.delta": (None, "input"),
}


def folded(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output that the deltas add up to. Nothing is taken from the events that say an item whole but its status
    and its code, which no delta carries."""
    output: list[dict[str, Any]] = []
    for event in events:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert len(output) == event["output_index"]
            output.append(event["item"])
        elif kind == "response.content_part.added":
            output[event["output_index"]]["content"].append(event["part"])
        elif kind == "response.reasoning_summary_part.added":
            output[event["output_index"]]["summary"].append(event["part"])
        elif kind in PIECES:
            _grow(output[event["output_index"]], event)
        elif kind == "response.output_item.done":
            item = output[event["output_index"]]
            item |= {name: event["item"][name] for name in ("status", "encrypted_content") if name in event["item"]}
    return output


def _grow(item: dict[str, Any], event: dict[str, Any]) -> None:
    assert item["id"] == event["item_id"]
    parts, name = PIECES[event["type"]]
    target = item[parts][-1] if parts else item
    target[name] += event["delta"]
    if "logprobs" in target:
        target["logprobs"] += event["logprobs"]


def frames(stream: bytes) -> Iterator[dict[str, Any]]:
    """The data of named frames, each named after its data's type."""
    for frame in stream.split(b"\n\n")[:-1]:
        if not frame.startswith(b":"):
            name, data = frame.split(b"\n")
            read = orjson.loads(data.removeprefix(b"data: "))
            assert name == b"event: " + read["type"].encode()
            yield read
