"""Policies over the API, their versions, and rules that a chat model judges by."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from haiga.core.messages import text_of
from haiga.engines.fake import FakeEngine
from tests.wire.moderation_server import POLICIES, Moderated, moderating
from tests.wire.tools_server import Scripted, part, says

ADVICE = {"name": "no-advice", "text": "The text asks for legal advice."}
VIOLATES = json.dumps({"verdict": "violates", "rule": "no-advice", "reason": "It asks for advice on a lawsuit."})
ALLOWED = json.dumps({"verdict": "allowed", "rule": "none", "reason": "It is about the weather."})
RULED = {
    "ruled": {"rules": [ADVICE], "judge": "violates"},
    "allowing": {"rules": [ADVICE], "judge": "allows"},
    "babbling": {"rules": [ADVICE], "judge": "babbles"},
    "outgoing": {"rules": [{**ADVICE, "sides": ["output"]}], "judge": "violates"},
}
VIOLATING = Scripted(part(says(VIOLATES), stop="end_turn"), name="violates")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moderated]:
    kind = '{"rewrite": "What a kind thing."}'
    engines = [
        FakeEngine(),
        VIOLATING,
        Scripted(part(says(ALLOWED), stop="end_turn"), name="allows"),
        Scripted(part(says("no idea"), stop="end_turn"), name="babbles"),
        Scripted(part(says(kind), stop="end_turn"), name="kind"),
        Scripted(part(says('{"rewrite": "A vile thing."}'), stop="end_turn"), name="unkind"),
    ]
    with moderating(tmp_path_factory.mktemp("policies"), engines, policies={**POLICIES, **RULED}) as served:
        yield served


def call(served: Moderated, method: str, path: str, body: Any = None, key: str = "admin") -> httpx.Response:
    url = f"{served.url}/v1/moderation_policies{path}"
    return httpx.request(method, url, json=body, headers={"authorization": f"Bearer {key}"})


def chat(served: Moderated, text: str, policy: str) -> httpx.Response:
    body = {"model": "fake", "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": "Bearer k", "haiga-policy": policy}
    return httpx.post(f"{served.url}/v1/chat/completions", json=body, headers=headers)


def stop(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["finish_reason"])


def test_a_policy_made_over_the_api_holds_from_the_next_request_on(served: Moderated) -> None:
    made = call(served, "POST", "", {"name": "house", "categories": {"hate": "block"}}).json()
    assert ("house", "1", "api") == (made["name"], made["version"], made["source"])
    assert {"hate": {"action": "block", "threshold": None}} == made["categories"]
    answer = chat(served, "vile", "house")
    assert ("content_filter", "block; policy=house@1; reasons=hate") == (
        stop(answer),
        answer.headers["haiga-moderation"],
    )
    call(served, "POST", "", {"name": "house", "categories": {"hate": {"action": "flag", "threshold": 0.2}}})
    answer = chat(served, "vile", "house")
    assert ("stop", "flag; policy=house@2; reasons=hate") == (stop(answer), answer.headers["haiga-moderation"])
    versions = call(served, "GET", "/house/versions").json()["data"]
    assert [("2", "flag"), ("1", "block")] == [(v["version"], v["categories"]["hate"]["action"]) for v in versions]
    assert "block" == call(served, "GET", "/house?version=1").json()["categories"]["hate"]["action"]
    assert call(served, "DELETE", "/house").json()["deleted"]
    assert (404, 400) == (call(served, "GET", "/house").status_code, chat(served, "vile", "house").status_code)


def test_a_policy_as_it_is_shown_can_be_made_again(served: Moderated) -> None:
    shown = call(served, "GET", "/masking").json()
    fields = {name: shown[name] for name in shown if name not in ("object", "version", "created_at", "source")}
    made = call(served, "POST", "", {**fields, "name": "masking-too"}).json()
    assert fields | {"name": "masking-too"} == {name: made[name] for name in fields}


def test_policies_of_the_file_and_built_in_ones_are_listed_and_fixed(served: Moderated) -> None:
    listed = {policy["name"]: policy["source"] for policy in call(served, "GET", "").json()["data"]}
    assert {"strict": "fixed", "standard": "fixed"} == {name: listed[name] for name in ("strict", "standard")}
    assert 400 == call(served, "POST", "", {"name": "strict"}).status_code
    assert 400 == call(served, "DELETE", "/standard").status_code


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_only_administrators_see_and_make_policies(served: Moderated, method: str) -> None:
    assert 403 == call(served, method, "", {"name": "x"}, key="k").status_code


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"categories": {"hate": "blok"}}, "categories.hate"),
        ({"categories": {"hate": {"action": "blok"}}}, "categories.hate.action"),
        ({"categories": {"nonsense": "block"}}, "categories"),
        ({"categories": {"hate": {"threshold": 2}}}, "categories.hate.threshold"),
        ({"categorys": {}}, "categorys"),
        ({"terms": [{"name": "a", "pattern": "(a"}]}, "terms[0].pattern"),
        ({"terms": [{"name": "a", "pattern": "(a)\\1"}]}, "terms[0].pattern"),
        ({"terms": [{"name": "a", "text": "x", "pattern": "y"}]}, "terms[0]"),
        ({"terms": [{"name": "a b", "text": "x"}]}, "terms[0].name"),
        ({"terms": [{"name": "a", "text": "x"}, {"name": "a", "text": "y"}]}, "terms"),
        ({"rules": [{"name": "r", "text": "x", "action": "mask"}]}, "rules[0].action"),
        ({"name": "no spaces"}, "name"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(served: Moderated, body: Any, param: str) -> None:
    answer = call(served, "POST", "", {"name": "wrong", **body})
    assert (400, param) == (answer.status_code, answer.json()["error"]["param"])


def test_a_rule_is_judged_by_a_chat_model_under_a_grammar(served: Moderated) -> None:
    before = len(served.records)
    answer = chat(served, "May I sue my neighbour?", "ruled")
    assert ("content_filter", True) == (stop(answer), "no-advice" in answer.headers["haiga-moderation"])
    asked = VIOLATING.asked[-1]
    assert ["verdict", "rule", "reason"] == list((asked.output_schema or {})["properties"])
    assert "May I sue my neighbour?" in text_of(asked.messages[0].content)
    assert "The text asks for legal advice." in asked.system[0].text
    assert ["violates", "fake"] == [record.model for record in served.records[before:]]
    chat(served, "May I sue my neighbour?", "ruled")
    assert asked is VIOLATING.asked[-1], "it is asked once about a text"


def test_a_rule_that_does_not_hold_lets_pass(served: Moderated) -> None:
    assert "stop" == stop(chat(served, "Will it rain?", "allowing"))


def test_a_judge_that_does_not_answer_as_asked_fails_closed(served: Moderated) -> None:
    assert 503 == chat(served, "Will it rain?", "babbling").status_code


def test_a_rule_may_be_about_answers(served: Moderated) -> None:
    answer = chat(served, "You should sue. You will win.", "outgoing").json()["choices"][0]
    assert ("content_filter", "") == (answer["finish_reason"], answer["message"]["content"])


def explained(served: Moderated, model: Any) -> Any:
    body = {"input": "What a vile thing.", "rewrite": model}
    return httpx.post(f"{served.url}/v1/moderations/explain", json=body).json()["results"][0]["haiga_explanation"]


def test_a_rewrite_is_judged_before_it_is_shown(served: Moderated) -> None:
    kind = explained(served, "kind")["rewrite"]
    assert ("kind", "What a kind thing.", None) == (kind["model"], kind["text"], kind["problem"])
    assert 0.01 == kind["category_scores"]["hate"]
    unkind = explained(served, "unkind")["rewrite"]
    assert (None, "no rewrite was harmless") == (unkind["text"], unkind["problem"])


def test_a_model_to_rewrite_with_that_is_not_there_is_named(served: Moderated) -> None:
    answer = httpx.post(f"{served.url}/v1/moderations/explain", json={"input": "vile", "rewrite": "nobody"})
    assert (404, "rewrite") == (answer.status_code, answer.json()["error"]["param"])
