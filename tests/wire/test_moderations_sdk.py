"""The Moderations API through the official SDK."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from haiga.core.moderation import CATEGORIES
from haiga.engines.fake import FakeEngine
from tests.wire.moderation_server import Moderated, moderating

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moderated]:
    with moderating(tmp_path_factory.mktemp("moderations"), [FakeEngine()]) as served:
        yield served


def flagged(result: Any) -> set[str]:
    return {name for name, flag in result.categories.to_dict().items() if flag}


def test_a_text_is_judged_in_every_category(served: Moderated) -> None:
    answer = served.chat().moderations.create(input="what a vile thing", model="omni-moderation-latest")
    (result,) = answer.results
    assert (True, {"hate"}) == (result.flagged, flagged(result))
    assert {*CATEGORIES} == {*result.category_scores.to_dict()}
    assert (0.9, 0.01) == (result.category_scores.hate, result.category_scores.violence)
    assert ["text"] == result.category_applied_input_types.hate
    assert answer.id.startswith("modr-")


def test_each_text_of_a_list_has_its_result(served: Moderated) -> None:
    answer = served.chat().moderations.create(input=["fine", "vile", "gory and shady"])
    assert [set(), {"hate"}, {"violence", "illicit"}] == [flagged(result) for result in answer.results]


def test_parts_have_one_result_and_an_image_that_nobody_judged_is_said_to_be_so(served: Moderated) -> None:
    parts: Any = [{"type": "text", "text": "fine"}, {"type": "text", "text": "gory"}, IMAGE]
    (result,) = served.chat().moderations.create(input=parts).results
    assert {"violence"} == flagged(result)
    assert ["text"] == result.category_applied_input_types.violence
    (unjudged,) = result.to_dict()["haiga_unjudged"]  # type: ignore[misc]
    assert ("image_url", 0) == (unjudged["type"], unjudged["index"])


def test_an_image_alone_is_judged_by_nothing(served: Moderated) -> None:
    (result,) = served.chat().moderations.create(input=[IMAGE]).results  # type: ignore[list-item]
    assert not result.flagged
    assert [] == result.category_applied_input_types.sexual
    assert 1 == len(result.to_dict()["haiga_unjudged"])  # type: ignore[arg-type]


@pytest.mark.parametrize(("policy", "expected"), [("watchful", True), ("blind", True), ("strict", False)])
def test_a_policy_says_whether_an_unknown_image_is_flagged(served: Moderated, policy: str, expected: bool) -> None:
    (result,) = served.chat(policy).moderations.create(input=[IMAGE]).results  # type: ignore[list-item]
    assert expected == result.flagged


def test_a_key_has_thresholds_of_its_own(served: Moderated) -> None:
    asked: Any = {"input": "a vile thing"}
    assert [True, False] == [
        served.chat(policy).moderations.create(**asked).results[0].flagged for policy in ("", "lenient")
    ]
    told = served.chat("lenient").moderations.create(**asked).to_dict()
    assert ["lenient@"] == [label[:8] for label in told["haiga_policies"]]  # type: ignore[attr-defined]


def test_a_policy_that_a_request_names_flags_its_terms(served: Moderated) -> None:
    raw = served.chat().moderations.with_raw_response.create(
        input="it is pr0ject  Z-E-U-S", extra_headers={"haiga-policy": "terms"}
    )
    result = raw.parse().results[0]
    assert (True, set()) == (result.flagged, flagged(result))
    assert ["codename"] == result.to_dict()["haiga_policy_hits"]


def test_usage_is_recorded_and_no_text(served: Moderated) -> None:
    before = len(served.records)
    served.chat().moderations.create(input=["three little words", "one"])
    (record,) = served.records[before:]
    assert ("/v1/moderations", "fake-moderation", 4) == (record.endpoint, record.model, record.usage.input)
    assert "little" not in repr(record)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", 5]}, "input[0]"),
        ({"input": [{"type": "text"}]}, "input[0].text"),
        ({"input": [{"type": "audio"}]}, "input[0].type"),
        ({"input": [{"text": "a"}]}, "input[0].type"),
        ({"input": [{"type": "image_url", "image_url": {"url": "nope"}}]}, "input[0].image_url.url"),
        ({"input": "a", "model": 5}, "model"),
        ({"input": "a", "model": "gpt-4"}, None),
        ({"input": "a" * 1_000_001}, "input"),
    ],
)
def test_what_is_wrong_is_named(served: Moderated, body: Any, param: str | None) -> None:
    answer = httpx.post(f"{served.url}/v1/moderations", json=body)
    assert 400 <= answer.status_code < 500
    assert param == answer.json()["error"]["param"]


def test_a_policy_that_is_not_there_is_named(served: Moderated) -> None:
    with pytest.raises(openai.BadRequestError, match="no moderation policy nope"):
        served.chat().moderations.create(input="a", extra_headers={"haiga-policy": "nope"})


def test_a_chat_model_is_not_asked_to_moderate_nor_a_classifier_to_chat(served: Moderated) -> None:
    with pytest.raises(openai.NotFoundError):
        served.chat().moderations.create(input="a", model="gpt-4o")
    with pytest.raises(openai.NotFoundError):
        served.chat().chat.completions.create(
            model="omni-moderation-latest", messages=[{"role": "user", "content": "a"}]
        )


def test_an_explanation_names_the_words_that_carry_the_decision(served: Moderated) -> None:
    answer = httpx.post(f"{served.url}/v1/moderations/explain", json={"input": "what a vile, gory thing"}).json()
    explained = answer["results"][0]["haiga_explanation"]
    assert "high" == explained["risk"]
    assert {("hate", "vile", 7, 11), ("violence", "gory", 13, 17)} == {
        (span["category"], span["text"], span["start"], span["end"]) for span in explained["spans"]
    }


def test_a_request_may_want_the_explanation_with_the_judgement(served: Moderated) -> None:
    answer = served.chat().moderations.create(input="fine words", extra_body={"explain": True})
    explained: Any = answer.results[0].to_dict()["haiga_explanation"]
    assert ("none", []) == (explained["risk"], explained["spans"])
