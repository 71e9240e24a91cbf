"""What the official openai SDK does with this server, for any SDK version: run as `python openai_checks.py URL`.

Rule: the standard library, openai and what it brings along, since the older SDK lives in an environment with nothing
else. The server serves the engines of `openai_engines.py`.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

HI: Any = [{"role": "user", "content": "one two three"}]
LOOK: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
    },
}


class Place(BaseModel):
    city: str
    rain: bool


def client(url: str, base: str = "/v1", **options: Any) -> openai.OpenAI:
    return openai.OpenAI(**{"base_url": url + base, "api_key": "any", "max_retries": 0, **options})


def raised(kind: type[openai.APIError], call: Callable[..., Any], **arguments: Any) -> Any:
    try:
        call(**{"model": "fake", "messages": HI, **arguments})
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def check_create(url: str) -> None:
    answer = client(url).chat.completions.create(model="fake", messages=HI, max_tokens=9)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("one two three", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 3, 7)
    assert answer._request_id.startswith("req_")


def check_max_tokens_and_stop(url: str) -> None:
    create = client(url).chat.completions.create
    assert create(model="fake", messages=HI, max_completion_tokens=2).choices[0].finish_reason == "length"
    stopped = create(model="fake", messages=HI, stop=[" three"]).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("one two", "stop")


def check_stream(url: str) -> None:
    options: Any = {"include_usage": True}
    stream = client(url).chat.completions.create(model="fake", messages=HI, stream=True, stream_options=options)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "one two three"
    assert chunks[-1].usage.completion_tokens == 3


def check_n(url: str) -> None:
    answer = client(url).chat.completions.create(model="fake", messages=HI, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]


def check_tool_call(url: str) -> None:
    answer = client(url).chat.completions.create(model="caller", messages=HI, tools=[LOOK])
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("look", {"at": "sky"})


def check_tool_call_round_trip(url: str) -> None:
    create = client(url).chat.completions.create
    message = create(model="caller", messages=HI, tools=[LOOK]).choices[0].message
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "blue"}
    create(model="caller", messages=[*HI, message, result], tools=[LOOK])


def check_streamed_tool_call(url: str) -> None:
    with client(url).chat.completions.stream(model="caller", messages=HI, tools=[LOOK]) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("look", {"at": "sky"})


def check_structured_output(url: str) -> None:
    answer = client(url).chat.completions.parse(model="writer", messages=HI, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Paris", rain=True)


def check_streamed_structured_output(url: str) -> None:
    with client(url).chat.completions.stream(model="writer", messages=HI, response_format=Place) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Place(city="Paris", rain=True)


def check_completions(url: str) -> None:
    answer = client(url).completions.create(model="fake", prompt=["a b", "c"], max_tokens=5)
    assert [choice.text for choice in answer.choices] == ["a b", "c"]
    stream = client(url).completions.create(model="fake", prompt="a b", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "a b"


def check_models(url: str) -> None:
    assert "fake" in [model.id for model in client(url).models.list()]
    assert client(url).models.retrieve("fake").owned_by == "haiga"


def check_errors(url: str) -> None:
    create = client(url).chat.completions.create
    assert raised(openai.NotFoundError, create, model="gpt-nope").code == "model_not_found"
    assert raised(openai.BadRequestError, create, temperature=3).param == "temperature"
    assert raised(openai.BadRequestError, create, tools=[LOOK]).param == "tools"
    assert raised(openai.InternalServerError, create, model="full").status_code == 503


def check_error_in_a_stream(url: str) -> None:
    stream = client(url).chat.completions.create(model="breaking", messages=HI, stream=True)
    try:
        list(stream)
    except openai.APIError as error:
        assert "burnt down" in error.message
    else:
        raise AssertionError("nothing was raised")


def check_raw(url: str) -> None:
    raw = client(url).chat.completions.with_raw_response.create(model="fake", messages=HI)
    assert raw.parse().choices[0].message.content == "one two three"
    with client(url).chat.completions.with_streaming_response.create(model="fake", messages=HI) as response:
        assert json.loads(response.read())["object"] == "chat.completion"


def check_strict(url: str) -> None:
    strict = client(url, _strict_response_validation=True)
    strict.chat.completions.create(model="caller", messages=HI, tools=[LOOK])
    list(strict.chat.completions.create(model="fake", messages=HI, stream=True))
    strict.completions.create(model="fake", prompt="a")
    strict.models.list()


def check_openrouter(url: str) -> None:
    router = client(url, "/api/v1")
    fallback: Any = {"models": ["fake"], "provider": {"sort": "price"}}
    answer = router.chat.completions.create(model="full", messages=HI, extra_body=fallback)
    assert (answer.model, answer.choices[0].message.content) == ("fake", "one two three")
    chunks = list(router.chat.completions.create(model="fake:nitro", messages=HI, stream=True))
    assert chunks[-1].usage.cost == 0
    assert "fake" in [model.id for model in router.models.list()]
    assert raised(openai.BadRequestError, router.chat.completions.create, model="nobody").status_code == 400


def check_async(url: str) -> None:
    async def all_of_it() -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as asynchronous:
            answer = await asynchronous.chat.completions.create(model="fake", messages=HI)
            assert answer.choices[0].message.content == "one two three"
            stream = await asynchronous.chat.completions.create(model="fake", messages=HI, stream=True)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "one two three"

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
