"""What litellm does with this server, through both families: run as `python litellm_checks.py URL`.

Rule: the standard library and litellm alone: it lives in an environment of its own. The server serves the engines of
openai_engines.py.
"""

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import litellm

HI: Any = [{"role": "user", "content": "one two three"}]
LOOK: Any = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}
PLACE: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "rain": {"type": "boolean"}},
            "required": ["city", "rain"],
            "additionalProperties": False,
        },
    },
}


def openai(url: str, model: str, **fields: Any) -> Any:
    return litellm.completion(model=f"openai/{model}", api_base=f"{url}/v1", api_key="any", **fields)


def anthropic(url: str, model: str, **fields: Any) -> Any:
    return litellm.completion(model=f"anthropic/{model}", api_base=url, api_key="any", max_tokens=50, **fields)


def openrouter(url: str, model: str, **fields: Any) -> Any:
    return litellm.completion(model=f"openrouter/{model}", api_base=f"{url}/api/v1", api_key="any", **fields)


def chat(ask: Callable[..., Any], url: str) -> None:
    answer = ask(url, "fake", messages=HI)
    assert answer.choices[0].message.content == "one two three", answer
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (3, "stop"), answer


def stream(ask: Callable[..., Any], url: str) -> None:
    chunks = list(ask(url, "fake", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three", chunks


def tool_call(ask: Callable[..., Any], url: str) -> None:
    answer = ask(url, "caller", messages=HI, tools=[LOOK])
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("look", {"at": "sky"}), answer
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "blue"}
    ask(url, "caller", messages=[*HI, answer.choices[0].message, result], tools=[LOOK])


def structured_output(ask: Callable[..., Any], url: str) -> None:
    answer = ask(url, "writer", messages=HI, response_format=PLACE)
    assert json.loads(answer.choices[0].message.content) == {"city": "Paris", "rain": True}, answer


def check_unknown_model(url: str) -> None:
    try:
        openai(url, "nobody", messages=HI)
    except litellm.NotFoundError:
        return
    raise AssertionError("no NotFoundError was raised")


def check_prompt_too_long(url: str) -> None:
    try:
        openai(url, "fake", messages=[{"role": "user", "content": "word " * 5000}])
    except litellm.ContextWindowExceededError:
        return
    raise AssertionError("no ContextWindowExceededError was raised")


def check_responses(url: str) -> None:
    asked: Any = {"model": "openai/fake", "api_base": f"{url}/v1", "api_key": "any", "input": "one two three"}
    answer = litellm.responses(**asked)
    assert answer.output[0].content[0].text == "one two three", answer
    events = list(litellm.responses(**asked, stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == "one two three", events


DEEDS = (chat, stream, tool_call, structured_output)
CHECKS: dict[str, Callable[[str], None]] = {
    f"{deed.__name__}_{ask.__name__}": lambda url, deed=deed, ask=ask: deed(ask, url)  # type: ignore[misc]
    for deed in DEEDS
    for ask in (openai, anthropic, openrouter)
} | {"unknown_model": check_unknown_model, "prompt_too_long": check_prompt_too_long, "responses": check_responses}


def outcome(check: Callable[[str], None], url: str) -> str:
    try:
        check(url)
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    failures = {name: outcome(check, sys.argv[1]) for name, check in CHECKS.items()}
    print(json.dumps({"failures": failures}))
