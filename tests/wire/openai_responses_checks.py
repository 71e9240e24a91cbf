"""What the official openai SDK does with the Responses and Conversations APIs here, for any SDK version: run as
`python openai_responses_checks.py URL`.

Rule: the standard library, openai and what it brings along, since the older SDK lives in an environment with nothing
else. The server serves the engines of `openai_engines.py` and keeps responses.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

LOOK: Any = {
    "type": "function",
    "name": "look",
    "parameters": {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Place(BaseModel):
    city: str
    rain: bool


def client(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(**{"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0, **options})


def check_create(url: str) -> None:
    answer = client(url).responses.create(model="fake", input="one two three", instructions="Be brief.")
    assert (answer.output_text, answer.status) == ("one two three", "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (6, 3)


def check_stream(url: str) -> None:
    events = list(client(url).responses.create(model="fake", input="one two", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    with client(url).responses.stream(model="fake", input="one two") as stream:
        assert stream.get_final_response().output_text == "one two"


def check_chain_and_delete(url: str) -> None:
    api = client(url).responses
    first = api.create(model="fake", input="one two")
    second = api.create(model="fake", input="three", previous_response_id=first.id)
    assert second.usage.input_tokens == 8
    assert api.retrieve(second.id).output_text == "three"
    assert [item.content[0].text for item in api.input_items.list(second.id)] == ["three"]
    api.delete(first.id)
    try:
        api.retrieve(first.id)
    except openai.NotFoundError:
        return
    raise AssertionError("a deleted response was found")


def check_background_and_resume(url: str) -> None:
    api = client(url).responses
    made = api.create(model="fake", input="one two", background=True)
    while made.status in ("queued", "in_progress"):
        made = api.retrieve(made.id)
    assert made.output_text == "one two"
    assert [event.sequence_number for event in api.retrieve(made.id, stream=True, starting_after=2)][:1] == [3]
    assert api.cancel(made.id).status == "completed"


def check_tool_call(url: str) -> None:
    asked: Any = [{"role": "user", "content": "look"}]
    answer = client(url).responses.create(model="caller", input=asked, tools=[LOOK])
    (call,) = [item for item in answer.output if item.type == "function_call"]
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    said: Any = [item.model_dump(exclude_none=True) for item in answer.output]
    assert client(url).responses.create(model="caller", input=[*asked, *said, output], tools=[LOOK]).output


def check_structured_output(url: str) -> None:
    answer = client(url).responses.parse(model="writer", input="where", text_format=Place)
    assert isinstance(answer.output_parsed, Place)


def check_conversations(url: str) -> None:
    api = client(url)
    made = api.conversations.create(items=[{"role": "user", "content": "one two"}], metadata={"k": "v"})
    answer = api.responses.create(model="fake", input="three", conversation=made.id)
    assert answer.usage.input_tokens == 5
    items = api.conversations.items.list(made.id, order="asc")
    assert [item.content[0].text for item in items] == ["one two", "three", "three"]
    assert api.conversations.delete(made.id).deleted


def check_errors(url: str) -> None:
    try:
        client(url).responses.create(model="fake", input="word " * 5000)
    except openai.BadRequestError as error:
        assert (error.code, error.param) == ("context_length_exceeded", "input")
        return
    raise AssertionError("a prompt that is too long was taken")


def check_strict(url: str) -> None:
    api = client(url, _strict_response_validation=True).responses
    answer = api.create(model="caller", input="look", tools=[LOOK], reasoning={"summary": "auto"})
    api.retrieve(answer.id)
    for _ in api.create(model="caller", input="look", tools=[LOOK], stream=True):
        pass


def check_async(url: str) -> None:
    async def all_of_it() -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as api:
            answer = await api.responses.create(model="fake", input="one two")
            async with api.responses.stream(model="fake", input="one two") as stream:
                assert (await stream.get_final_response()).output_text == answer.output_text == "one two"

    asyncio.run(all_of_it())


CHECKS = {name: check for name, check in list(globals().items()) if name.startswith("check_")}


def outcome(check: Callable[[str], None], url: str) -> str:
    try:
        check(url)
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    failures = {name: outcome(check, sys.argv[1]) for name, check in CHECKS.items()}
    print(json.dumps({"version": openai.__version__, "failures": failures}))
