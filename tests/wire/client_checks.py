"""What the official anthropic SDK does with this server, for any SDK version: run as `python client_checks.py URL`.

Rule: the standard library and anthropic alone, since the older SDK lives in an environment with nothing else. The
server serves the engines of anthropic_server.py.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import anthropic

KEY = "sk-test"
HI: Any = [{"role": "user", "content": "one two three"}]
TOOL: Any = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


def client(url: str, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(**{"base_url": url, "api_key": KEY, "max_retries": 0, **options})


def raised(kind: type[anthropic.APIError], call: Callable[..., Any], **arguments: Any) -> Any:
    try:
        call(**{"model": "fake", "max_tokens": 9, "messages": HI, **arguments})
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def check_create(url: str) -> None:
    message = client(url).messages.create(model="fake", max_tokens=9, messages=HI, system="Be brief.")
    assert message.content[0].text == "one two three", message
    assert (message.model, message.role, message.stop_reason) == ("fake", "assistant", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6, 3)
    assert message._request_id.startswith("req_")


def check_an_alias_answers_under_the_models_own_name(url: str) -> None:
    assert client(url).messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=HI).model == "fake"


def check_stop_sequence(url: str) -> None:
    message = client(url).messages.create(model="fake", max_tokens=9, messages=HI, stop_sequences=[" three"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " three")
    assert message.content[0].text == "one two"


def check_max_tokens(url: str) -> None:
    message = client(url).messages.create(model="fake", max_tokens=2, messages=HI)
    assert (message.stop_reason, message.content[0].text) == ("max_tokens", "one two")


def check_prefill(url: str) -> None:
    prefill: Any = [*HI, {"role": "assistant", "content": "one"}]
    assert client(url).messages.create(model="fake", max_tokens=9, messages=prefill).content[0].text == " two three"


def check_raw_stream(url: str) -> None:
    with client(url).messages.create(model="fake", max_tokens=9, messages=HI, stream=True) as stream:
        kinds = [event.type for event in stream]
    block = ["content_block_start", *["content_block_delta"] * 3, "content_block_stop"]
    assert kinds == ["message_start", *block, "message_delta", "message_stop"], kinds


def check_stream_adds_up_to_the_message(url: str) -> None:
    with client(url).messages.stream(model="able", max_tokens=9, messages=HI, tools=[TOOL]) as stream:
        streamed = stream.get_final_message()
    whole = client(url).messages.create(model="able", max_tokens=9, messages=HI, tools=[TOOL])
    assert [block.type for block in streamed.content] == ["thinking", "text", "tool_use"]
    assert streamed.content[2].input == {"at": "the sea"}
    for theirs, ours in zip(streamed.content, whole.content, strict=True):
        kept = {key: value for key, value in theirs.to_dict().items() if key in ours.to_dict()}
        assert kept == ours.to_dict(), (kept, ours.to_dict())
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def check_text_stream(url: str) -> None:
    with client(url).messages.stream(model="fake", max_tokens=9, messages=HI) as stream:
        assert list(stream.text_stream) == ["one", " two", " three"]


def check_an_answer_can_be_sent_back_as_it_came(url: str) -> None:
    first = client(url).messages.create(model="able", max_tokens=9, messages=HI, tools=[TOOL])
    call = first.content[-1]
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "blue"}]}
    history: Any = [*HI, {"role": "assistant", "content": first.content}, result]
    assert client(url).messages.create(model="able", max_tokens=9, messages=history, tools=[TOOL]).content


def check_count_tokens_is_what_is_billed(url: str) -> None:
    count = client(url).messages.count_tokens(model="fake", messages=HI, system="Be brief.").input_tokens
    message = client(url).messages.create(model="fake", max_tokens=1, messages=HI, system="Be brief.")
    assert count == message.usage.input_tokens == 6


def check_beta_namespace(url: str) -> None:
    edits: Any = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    message = client(url).beta.messages.create(
        model="fake", max_tokens=9, messages=HI, context_management=edits, betas=["context-management-2025-06-27"]
    )
    assert message.context_management is not None
    assert message.context_management.applied_edits == []
    assert client(url).beta.messages.count_tokens(model="fake", messages=HI).input_tokens == 4


def check_models(url: str) -> None:
    names = [model.id for model in client(url).models.list(limit=2)]
    assert names[:2] == ["fake", "able"], names
    assert len(names) == len(set(names)) == 8, names
    assert client(url).models.retrieve("fake").display_name == "Fake"
    error = raised(anthropic.NotFoundError, lambda **_: client(url).models.retrieve("no/such"))
    assert error.body["error"]["message"] == "model: no/such"


def check_errors(url: str) -> None:
    create = client(url).messages.create
    assert raised(anthropic.NotFoundError, create, model="nope").body["error"]["message"] == "model: nope"
    bad = raised(anthropic.BadRequestError, create, messages=[{"role": "user", "content": [{"type": "text"}]}])
    assert bad.body["error"]["message"] == "messages.0.content.0.text.text: Field required"
    assert bad.request_id == bad.body["request_id"]
    assert raised(anthropic.RateLimitError, create, model="limited").response.headers["retry-after"] == "30"
    assert raised(anthropic.InternalServerError, create, model="dying").status_code == 500
    assert raised(anthropic.APIStatusError, create, model="full").status_code == 529
    long = raised(anthropic.BadRequestError, create, messages=[{"role": "user", "content": "a" + " a" * 4999}])
    assert "prompt is too long: 5001 tokens > 4096 maximum" in str(long)


def check_sampling_belongs_to_the_old_version(url: str) -> None:
    """The SDK before 1.0 sends version 2023-06-01, the one since 2.0 the new one."""
    create = client(url).messages.create
    if anthropic.__version__.startswith("0."):
        assert create(model="fake", max_tokens=9, messages=HI, temperature=0.5)
    else:
        error = raised(anthropic.BadRequestError, create, extra_body={"temperature": 1.0})
        assert error.body["error"]["message"].startswith("temperature: "), error.body


def check_a_wrong_key_is_refused(url: str) -> None:
    error = raised(anthropic.AuthenticationError, client(url, api_key="sk-wrong").messages.create)
    assert error.body["error"]["type"] == "authentication_error"


def check_either_header_carries_the_key(url: str) -> None:
    for options in ({"api_key": KEY}, {"api_key": None, "auth_token": KEY}):
        assert client(url, **options).messages.create(model="fake", max_tokens=9, messages=HI)


def check_an_oversize_body_is_refused(url: str) -> None:
    huge: Any = [{"role": "user", "content": "a" * (33 << 20)}]
    error = raised(anthropic.APIStatusError, client(url).messages.create, messages=huge)
    assert (error.status_code, error.body["error"]["type"]) == (413, "request_too_large")


def check_retries_honour_retry_after(url: str) -> None:
    """The engine refuses twice, 429 and 529, each time asking for a second."""
    message = client(url, max_retries=2).messages.create(model="flaky", max_tokens=9, messages=HI)
    assert message.content[0].text == "one two three"


def check_an_error_in_a_stream_is_raised(url: str) -> None:
    seen = []

    def read(**arguments: Any) -> None:
        with client(url).messages.stream(**arguments) as stream:
            seen.extend(stream)

    error = raised(anthropic.APIStatusError, read, model="breaking")
    assert error.body["error"]["type"] == "overloaded_error", error.body
    assert [event.type for event in seen][-1] == "content_block_stop"


def check_timeout(url: str) -> None:
    impatient = client(url, timeout=0.3)
    raised(anthropic.APITimeoutError, impatient.messages.create, model="slow")


def check_a_stream_can_be_left_early(url: str) -> None:
    with client(url).messages.stream(model="slow", max_tokens=9, messages=HI) as stream:
        next(iter(stream))


def check_async(url: str) -> None:
    async def all_of_it() -> None:
        async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as asynchronous:
            messages = asynchronous.messages
            created, counted = await asyncio.gather(
                messages.create(model="fake", max_tokens=9, messages=HI),
                messages.count_tokens(model="fake", messages=HI),
            )
            assert (created.content[0].text, counted.input_tokens) == ("one two three", 4)
            async with messages.stream(model="fake", max_tokens=9, messages=HI) as stream:
                assert [text async for text in stream.text_stream] == ["one", " two", " three"]
            assert "fake" in [model.id async for model in asynchronous.models.list()]

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
    print(json.dumps({"version": anthropic.__version__, "failures": failures}))
