"""Requests and answers held to policies, in every API, through the official SDKs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from haiga.engines.fake import FakeEngine
from tests.wire.moderation_server import Moderated, moderating
from tests.wire.tools_server import Scripted, calls, part, says

GOOD, BAD = "This is a fine sentence. ", "This one is vile, whatever it says. "


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moderated]:
    engines = [
        FakeEngine(),
        Scripted(part(says(GOOD + BAD + GOOD), stop="end_turn"), name="bad"),
        Scripted(part(says(GOOD * 3), stop="end_turn"), name="good"),
        Scripted(part(calls("send", {"text": "a vile letter"})), name="caller"),
    ]
    with moderating(tmp_path_factory.mktemp("moderated"), engines) as served:
        yield served


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def message(served: Moderated, policy: str, model: str, text: str) -> Any:
    return served.claude(policy).messages.create(model=model, max_tokens=99, messages=said(text))


def test_a_message_is_refused_in_anthropic_s_own_way(served: Moderated) -> None:
    answer = message(served, "strict", "good", "a vile question")
    assert ("refusal", []) == (answer.stop_reason, answer.content)
    details = answer.stop_details
    assert details and ("refusal", "general_harms") == (details.type, details.category)
    assert "strict@" in details.explanation and "hate" in details.explanation


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_stops_before_what_is_blocked(served: Moderated, streamed: bool) -> None:
    client = served.claude("strict")
    asked: Any = {"model": "bad", "max_tokens": 99, "messages": said("hello")}
    if streamed:
        with client.messages.stream(**asked) as stream:
            kinds = [event.type for event in stream]
            answer = stream.get_final_message()
        assert "content_block_stop" in kinds and "message_stop" == kinds[-1]
    else:
        answer = client.messages.create(**asked)
    assert "refusal" == answer.stop_reason
    assert GOOD == answer.content[0].text  # type: ignore[union-attr]
    assert answer.stop_details and "hate" in (answer.stop_details.explanation or "")


def test_no_byte_of_what_is_blocked_is_sent(served: Moderated) -> None:
    body = {"model": "bad", "messages": said("hello"), "stream": True}
    asks: dict[str, Any] = {
        "/v1/chat/completions": body,
        "/api/v1/chat/completions": body,
        "/v1/messages": {"model": "bad", "max_tokens": 99, "messages": said("hello"), "stream": True},
        "/v1/responses": {"model": "bad", "input": "hello", "stream": True},
        "/v1/completions": {"model": "bad", "prompt": "hello", "stream": True},
    }
    for path, asked in asks.items():
        for stream in (True, False):
            headers = {"x-api-key": "key:strict", "anthropic-version": "2023-06-01"}
            headers = headers if path == "/v1/messages" else {"authorization": "Bearer key:strict"}
            answer = httpx.post(served.url + path, json=asked | {"stream": stream}, headers=headers)
            assert 200 == answer.status_code, (path, answer.text)
            assert "fine" in answer.text and "vile" not in answer.text and "whatever" not in answer.text, path


def test_a_chat_ends_with_content_filter_and_says_why(served: Moderated) -> None:
    asked: Any = {"model": "bad", "messages": said("hello")}
    choice = served.chat("strict").chat.completions.create(**asked).choices[0]
    assert ("content_filter", GOOD) == (choice.finish_reason, choice.message.content)
    assert "hate" in (choice.message.refusal or "")
    chunks = [c.choices[0] for c in served.chat("strict").chat.completions.create(**asked, stream=True) if c.choices]
    assert GOOD == "".join(chunk.delta.content or "" for chunk in chunks)
    assert ("content_filter", True) == (chunks[-1].finish_reason, "hate" in (chunks[-1].delta.refusal or ""))


def test_a_refused_chat_asks_no_model(served: Moderated) -> None:
    before = len(served.records)
    choice = served.chat("strict").chat.completions.create(model="good", messages=said("vile")).choices[0]
    assert ("content_filter", "") == (choice.finish_reason, choice.message.content)
    (record,) = served.records[before:]
    assert ("refusal", 0, 0) == (record.stop, record.usage.prompt, record.usage.output)


def test_a_response_is_incomplete_for_content_filter(served: Moderated) -> None:
    client = served.chat("strict")
    answer = client.responses.create(model="bad", input="hello")
    assert ("incomplete", "content_filter", GOOD) == (
        answer.status,
        answer.incomplete_details.reason if answer.incomplete_details else None,
        answer.output_text,
    )
    refused = client.responses.create(model="good", input="a vile question")
    assert ("incomplete", "") == (refused.status, refused.output_text)


def test_a_completion_ends_with_content_filter(served: Moderated) -> None:
    choice = served.chat("strict").completions.create(model="bad", prompt="hello").choices[0]
    assert ("content_filter", GOOD) == (choice.finish_reason, choice.text)


@pytest.mark.parametrize("streamed", [False, True])
def test_openrouter_refuses_an_input_with_403_and_its_reasons(served: Moderated, streamed: bool) -> None:
    client = served.chat("strict", "/api/v1")
    with pytest.raises(openai.PermissionDeniedError) as raised:
        client.chat.completions.create(model="good", messages=said("a vile question " * 20), stream=streamed)
    error: Any = raised.value.body
    assert (403, ["hate"]) == (error["code"], error["metadata"]["reasons"])
    assert ("a vile question " * 20)[:100] == error["metadata"]["flagged_input"]
    assert "good" == error["metadata"]["model_slug"]


def test_openrouter_ends_an_answer_with_content_filter(served: Moderated) -> None:
    choice = served.chat("strict", "/api/v1").chat.completions.create(model="bad", messages=said("hello")).choices[0]
    assert ("content_filter", GOOD) == (choice.finish_reason, choice.message.content)


def test_a_call_with_blocked_arguments_is_not_seen(served: Moderated) -> None:
    tool: Any = {"name": "send", "input_schema": {"type": "object"}}
    answer = served.claude("strict").messages.create(
        model="caller", max_tokens=99, messages=said("send it"), tools=[tool]
    )
    assert ("refusal", []) == (answer.stop_reason, answer.content)


Ask = Callable[[Moderated, dict[str, str]], httpx.Response]


def ask(served: Moderated, text: str, key: str = "k", model: str = "fake", **headers: str) -> httpx.Response:
    told = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(f"{served.url}/v1/chat/completions", json={"model": model, "messages": said(text)}, headers=told)


def test_a_request_names_a_policy_and_is_told_what_became_of_it(served: Moderated) -> None:
    answer = ask(served, "a vile question", haiga_policy="strict")
    assert "content_filter" == answer.json()["choices"][0]["finish_reason"]
    action, policy, reasons = answer.headers["haiga-moderation"].split("; ")
    assert ("block", "policy=strict", "reasons=hate") == (action, policy.split("@")[0], reasons)
    assert "haiga-moderation" not in ask(served, "a vile question").headers


def test_a_request_cannot_make_the_key_s_policy_laxer(served: Moderated) -> None:
    for named in ("off", "lenient", "watchful"):
        answer = ask(served, "a vile question", key="key:strict", haiga_policy=named)
        assert "content_filter" == answer.json()["choices"][0]["finish_reason"], named


def test_a_flag_lets_pass_and_says_so(served: Moderated) -> None:
    answer = ask(served, "a vile question", haiga_policy="watchful")
    assert ("stop", "a vile question") == (
        answer.json()["choices"][0]["finish_reason"],
        answer.json()["choices"][0]["message"]["content"],
    )
    assert answer.headers["haiga-moderation"].startswith("flag; policy=watchful@")


def test_a_policy_of_one_side_leaves_the_other_alone(served: Moderated) -> None:
    def stops(policy: str, model: str, text: str) -> str:
        return str(ask(served, text, haiga_policy=policy, model=model).json()["choices"][0]["finish_reason"])

    assert ("stop", "content_filter") == (stops("output", "good", "vile"), stops("output", "bad", "hello"))
    assert ("content_filter", "stop") == (stops("input", "good", "vile"), stops("input", "bad", "hello"))


def test_what_is_masked_reaches_neither_the_model_nor_the_caller(served: Moderated) -> None:
    answer = ask(served, "tell them of Project Z3us, the vile thing", haiga_policy="masking").json()
    assert "tell them of [removed], the [removed] thing" == answer["choices"][0]["message"]["content"]
    bad = ask(served, "hello", haiga_policy="masking", model="bad").json()["choices"][0]["message"]["content"]
    assert GOOD + BAD.replace("vile", "[removed]") + GOOD == bad


def test_what_the_assistant_said_before_is_not_judged_again(served: Moderated) -> None:
    history: Any = [*said("hello"), {"role": "assistant", "content": "vile"}, *said("fine")]
    choice = served.chat("strict").chat.completions.create(model="fake", messages=history).choices[0]
    assert ("stop", "fine") == (choice.finish_reason, choice.message.content)


def test_a_key_whose_policy_is_gone_is_refused(served: Moderated) -> None:
    with pytest.raises(anthropic.PermissionDeniedError, match="policy gone"):
        message(served, "gone", "good", "hello")


def test_decisions_are_recorded_with_their_version_and_without_a_word(
    served: Moderated, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(served.decisions)
    with caplog.at_level("INFO", logger="haiga.services.moderation.audit"):
        message(served, "strict", "good", "a wonderful question")
    (line, other) = [record.said for record in caplog.records if hasattr(record, "said") and record.msg == "moderation"]
    assert (("input", "allow"), ("output", "allow")) == tuple((each["side"], each["action"]) for each in (line, other))
    assert line["policy"].startswith("strict@") and 64 == len(line["sha256"])
    assert "wonderful" not in json.dumps(line)
    assert ["input", "output"] == [side for side, _ in served.decisions[before:]]


def slow(served: Moderated, policy: str, *, broken: bool, model: str = "good") -> httpx.Response:
    served.classifier.pace, served.classifier.broken = (0.0, True) if broken else (30.0, False)
    try:
        return ask(
            served, f"something that was never asked: {policy} {broken} {model}", key=f"key:{policy}", model=model
        )
    finally:
        served.classifier.pace, served.classifier.broken = 0.0, False


@pytest.mark.parametrize("broken", [False, True])
def test_a_slow_or_broken_classifier_fails_closed_or_open_as_the_policy_says(served: Moderated, broken: bool) -> None:
    closed = slow(served, "closed", broken=broken)
    assert (503, "overloaded") == (closed.status_code, closed.json()["error"]["code"])
    assert "could not be applied" in closed.json()["error"]["message"] and "retry-after" in closed.headers
    passed = slow(served, "open", broken=broken)
    assert (200, "stop") == (passed.status_code, passed.json()["choices"][0]["finish_reason"])
    assert "unjudged=" in passed.headers["haiga-moderation"]


def test_an_answer_that_cannot_be_judged_breaks_off_with_the_api_s_error(served: Moderated) -> None:
    served.classifier.broken, new = True, said("an echo that nobody has heard before")
    try:
        with (
            pytest.raises(anthropic.APIStatusError, match="could not be applied"),
            served.claude("output").messages.stream(model="fake", max_tokens=99, messages=new) as stream,
        ):
            seen = "".join(stream.text_stream)
            assert "" == seen
    finally:
        served.classifier.broken = False


def test_a_stream_says_the_same_as_a_whole_answer(served: Moderated) -> None:
    text = " ".join(f"word{n} and" for n in range(200))
    asked: Any = {"model": "fake", "messages": said(text)}
    client = served.chat("strict")
    chunks = [chunk for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices]
    whole = client.chat.completions.create(**asked).choices[0].message.content
    assert text == whole == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert 5 < len(chunks)


@pytest.mark.parametrize("streamed", [False, True])
def test_judgements_are_told_beside_a_chat_completion_where_it_asks_for_them(served: Moderated, streamed: bool) -> None:
    asked: Any = {"model": "bad", "messages": said("hello"), "n": 2, "moderation": {"model": "omni-moderation-latest"}}
    create = served.chat().chat.completions.create
    if streamed:
        told = [chunk.moderation for chunk in create(**asked, stream=True) if chunk.moderation]
    else:
        answer = create(**asked)
        told = [answer.moderation]
        assert ["stop", "stop"] == [choice.finish_reason for choice in answer.choices]  # nothing is stopped by it
    (judged,) = told
    assert ("moderation_results", "moderation_results") == (judged.input.type, judged.output.type)
    assert [False] == [result.flagged for result in judged.input.results]
    assert [True, True] == [result.categories["hate"] for result in judged.output.results]
    assert {"fake-moderation"} == {judged.output.model, *(result.model for result in judged.output.results)}


def test_what_cannot_be_judged_beside_an_answer_is_said_to_be_so(served: Moderated) -> None:
    served.classifier.broken = True
    try:
        asked: Any = {"messages": said("never asked before"), "moderation": {"model": "fake-moderation"}}
        judged = served.chat().chat.completions.create(model="good", **asked).moderation
    finally:
        served.classifier.broken = False
    assert judged and ("error", "error") == (judged.input.type, judged.output.type)


JUDGED: Any = {"model": "omni-moderation-latest"}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_tells_its_judgements_beside_itself_and_keeps_them(served: Moderated, streamed: bool) -> None:
    client = served.chat()
    asked: Any = {"model": "bad", "input": "hello", "moderation": JUDGED}
    if streamed:
        events = client.responses.create(**asked, stream=True)
        (answer,) = [event.response for event in events if event.type == "response.completed"]
    else:
        answer = client.responses.create(**asked)
    judged = answer.moderation
    assert "completed" == answer.status and judged
    assert ("moderation_result", "moderation_result") == (judged.input.type, judged.output.type)
    assert (False, True) == (judged.input.categories["hate"], judged.output.categories["hate"])
    assert judged == client.responses.retrieve(answer.id).moderation


def test_a_response_in_the_background_is_judged_when_it_is_done(served: Moderated) -> None:
    client = served.chat()
    begun = client.responses.create(model="bad", input="a vile question", background=True, moderation=JUDGED)
    for _ in client.responses.retrieve(begun.id, stream=True):
        pass
    judged = client.responses.retrieve(begun.id).moderation
    assert judged and judged.input.flagged and judged.output.flagged


def test_a_response_that_cannot_be_judged_says_so(served: Moderated) -> None:
    served.classifier.broken = True
    try:
        judged = served.chat().responses.create(model="good", input="not yet heard", moderation=JUDGED).moderation
    finally:
        served.classifier.broken = False
    assert judged and ("error", "error") == (judged.input.type, judged.output.type)


@pytest.mark.parametrize("streamed", [False, True])
def test_openrouter_s_chats_tell_their_judgements_as_well(served: Moderated, streamed: bool) -> None:
    asked: Any = {"model": "bad", "messages": said("hello"), "extra_body": {"moderation": JUDGED}}
    create = served.chat(path="/api/v1").chat.completions.create
    told = list(create(**asked, stream=True))[-1] if streamed else create(**asked)
    judged: Any = told.moderation
    assert [False] == [result.flagged for result in judged.input.results]
    assert [True] == [result.categories["hate"] for result in judged.output.results]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/api/v1/chat/completions"])
def test_no_judgement_stands_beside_an_answer_that_wants_none(served: Moderated, path: str) -> None:
    body = {"model": "good", "input": "hello"} if "responses" in path else {"model": "good", "messages": said("hello")}
    answer = httpx.post(served.url + path, json=body, headers={"authorization": "Bearer k"})
    assert 200 == answer.status_code and "moderation" not in answer.json()


@pytest.mark.parametrize("model", ["good", "nobody"])
def test_a_judgement_by_what_is_no_classifier_is_refused(served: Moderated, model: str) -> None:
    with pytest.raises(openai.NotFoundError, match=f"`{model}` does not exist"):
        served.chat().chat.completions.create(model="good", messages=said("a"), moderation={"model": model})
    with pytest.raises(openai.NotFoundError, match=f"`{model}` does not exist"):
        served.chat().responses.create(model="good", input="a", moderation={"model": model})
