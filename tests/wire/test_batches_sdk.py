"""Message batches, with the official anthropic SDK as client."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from haiga.web.app import WebSettings
from tests.wire.batch_server import Counting, serving_batches

OLD = {"anthropic-version": "2023-06-01"}


class Clock:
    """The time, with a lever."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Served:
    """A server with batches, and clients of it."""

    def __init__(self, url: str, engine: Counting, clock: Clock) -> None:
        self.url, self.engine, self.clock = url, engine, clock
        self.client = self.as_("team")

    def as_(self, workspace: str) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=workspace, max_retries=0)

    def make(self, *requests: dict[str, Any], **headers: str) -> MessageBatch:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body: Any = requests
        return self.client.messages.batches.create(requests=body, extra_headers=named)

    def end(self, id: str) -> MessageBatch:
        """The batch once it has ended."""
        for _ in range(2000):
            batch = self.client.messages.batches.retrieve(id)
            if batch.processing_status == "ended":
                return batch
            time.sleep(0.005)
        raise AssertionError("the batch does not end")

    def results(self, id: str) -> dict[str, MessageBatchIndividualResponse]:
        self.end(id)
        found = list(self.client.messages.batches.results(id))
        assert len(found) == len({result.custom_id for result in found})
        return {result.custom_id: result for result in found}


def ask(custom_id: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    params = {"model": "fake", "max_tokens": 20, "messages": [{"role": "user", "content": text}], **more}
    return {"custom_id": custom_id, "params": params}


def counts(batch: MessageBatch) -> Sequence[int]:
    told = batch.request_counts
    return [told.processing, told.succeeded, told.errored, told.canceled, told.expired]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    engine, clock = Counting(), Clock()
    settings = WebSettings(open=False, body_limit=1000, batch_limit=20_000)
    with serving_batches(tmp_path / "db", [engine], clock=clock, settings=settings) as url:
        yield Served(url, engine, clock)


def test_every_request_has_its_answer(served: Served) -> None:
    made = served.make(ask("one", "first words"), ask("two", "second", system="Be brief."))
    assert "in_progress" == made.processing_status
    assert [2, 0, 0, 0, 0] == counts(made)
    assert None is made.ended_at is made.results_url is made.cancel_initiated_at is made.archived_at
    assert 24 * 3600 == (made.expires_at - made.created_at).total_seconds()
    results = served.results(made.id)
    ended = served.end(made.id)
    assert [0, 2, 0, 0, 0] == counts(ended)
    assert ended.ended_at and ended.results_url == f"{served.url}/v1/messages/batches/{made.id}/results"
    assert {"one": "first words", "two": "second"} == {name: text(result) for name, result in results.items()}
    message = results["one"].result.message
    assert ("fake", "end_turn", "batch", 2) == (
        message.model,
        message.stop_reason,
        message.usage.service_tier,
        message.usage.output_tokens,
    )
    assert {"batch"} == {request.priority for request in served.engine.asked}
    assert {"team"} == {request.workspace for request in served.engine.asked}


def text(result: MessageBatchIndividualResponse) -> str:
    assert result.result.type == "succeeded", result
    return result.result.message.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"stream": True}, "stream"),
        ({"speed": "standard"}, "speed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"thread": {"type": "create"}}, "threads"),
        ({"model": "unknown"}, "model: unknown"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"temperature": 0}, "temperature"),
    ],
)
def test_what_is_wrong_with_a_request_is_its_own_result(served: Served, more: dict[str, Any], complaint: str) -> None:
    results = served.results(served.make(ask("bad", **more), ask("good")).id)
    assert "hello" == text(results["good"])
    bad = results["bad"].result
    assert bad.type == "errored"
    assert complaint in bad.error.error.message
    assert bad.error.error.type == ("not_found_error" if "unknown" in complaint else "invalid_request_error")
    assert (bad.error.request_id or "").startswith("req_")
    assert [0, 1, 1, 0, 0] == counts(served.client.messages.batches.list().data[0])


def test_the_version_of_the_batch_s_request_rules_its_lines(served: Served) -> None:
    made = served.make(ask("a", temperature=0.5), **OLD)
    assert "hello" == text(served.results(made.id)["a"])
    assert [0.5] == [request.sampling.temperature for request in served.engine.asked]


@pytest.mark.parametrize(
    ("requests", "complaint"),
    [
        ([], "requests: List should have at least 1 item"),
        ([ask("a"), ask("a")], "requests.1.custom_id: custom_id must be unique: a"),
        ([ask("a b")], "requests.0.custom_id: String should match pattern"),
        ([ask("a" * 65)], "requests.0.custom_id: String should match pattern"),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
        ([{"custom_id": "a", "params": 1}], "requests.0.params: Input should be a valid dictionary"),
        ([ask("a"), 1], "requests.1: Input should be a valid dictionary"),
    ],
)
def test_a_batch_that_is_wrong_is_refused_whole(served: Served, requests: list[Any], complaint: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        served.make(*requests)
    assert complaint in caught.value.message
    assert [] == served.client.messages.batches.list().data


def test_a_batch_may_be_larger_than_a_message_but_not_without_limit(served: Served) -> None:
    requests = [ask(f"r{i}", "word " * 20) for i in range(100)]
    assert "in_progress" == served.make(*requests[:50]).processing_status
    with pytest.raises(anthropic.RequestTooLargeError):
        served.make(*requests)


def test_batches_are_listed_newest_first_page_by_page(served: Served) -> None:
    made = [served.make(ask("a")).id for _ in range(5)]
    assert made[::-1] == [batch.id for batch in served.client.messages.batches.list(limit=2)]
    page = served.client.messages.batches.list(limit=2, before_id=made[1])
    assert ([made[3], made[2]], True) == ([batch.id for batch in page.data], page.has_more)
    last = served.client.messages.batches.list(after_id=made[1])
    assert ([made[0]], False) == ([batch.id for batch in last.data], last.has_more)
    assert made[0] == last.first_id == last.last_id
    with pytest.raises(anthropic.BadRequestError, match="after_id"):
        served.client.messages.batches.list(after_id="msgbatch_0")


def test_another_workspace_s_batch_is_not_there(served: Served) -> None:
    id = served.make(ask("a")).id
    other = served.as_("others").messages.batches
    served.end(id)
    for call in (other.retrieve, other.cancel, other.results, other.delete):
        with pytest.raises(anthropic.NotFoundError):
            call(id)
    assert [] == other.list().data
    assert "hello" == text(served.results(id)["a"])


def test_a_canceled_batch_keeps_the_results_it_has(served: Served) -> None:
    first = served.make(ask("x"), ask("y", "done"))
    served.end(first.id)
    served.engine.gate.clear()
    made = served.make(*(ask(f"r{i}", f"text {i}") for i in range(40)))
    while len(served.engine.asked) < 34:
        time.sleep(0.005)
    canceling = served.client.messages.batches.cancel(made.id)
    assert "canceling" == canceling.processing_status
    assert canceling.cancel_initiated_at
    assert [40, 0, 0, 0, 0] == counts(canceling)
    results = served.results(made.id)
    assert {"canceled"} == {result.result.type for result in results.values()}
    ended = served.end(made.id)
    assert [0, 0, 0, 40, 0] == counts(ended)
    again = served.client.messages.batches.cancel(made.id)
    assert (ended.processing_status, ended.ended_at) == (again.processing_status, again.ended_at)
    served.engine.gate.set()
    assert "hello" == text(served.results(served.make(ask("a")).id)["a"])


def test_what_has_no_result_after_a_day_expires(served: Served) -> None:
    served.engine.gate.clear()
    made = served.make(ask("a"), ask("b", "other"))
    while len(served.engine.asked) < 2:
        time.sleep(0.005)
    served.clock.ahead = 24 * 3600
    results = served.results(made.id)
    assert {"a": "expired", "b": "expired"} == {name: result.result.type for name, result in results.items()}
    assert [0, 0, 0, 0, 2] == counts(served.end(made.id))


def test_results_are_kept_for_29_days(served: Served) -> None:
    id = served.make(ask("a")).id
    served.end(id)
    served.clock.ahead = 29 * 24 * 3600
    while (batch := served.client.messages.batches.retrieve(id)).archived_at is None:
        served.make(ask("a"))
    assert None is batch.results_url
    assert [0, 1, 0, 0, 0] == counts(batch)
    with pytest.raises(anthropic.AnthropicError):
        served.client.messages.batches.results(id)
    answer = httpx.get(f"{served.url}/v1/messages/batches/{id}/results", headers={"x-api-key": "team"})
    assert 400 == answer.status_code
    assert f"The results of batch {id} are no longer available." == answer.json()["error"]["message"]


def test_only_a_batch_that_has_ended_can_be_deleted(served: Served) -> None:
    served.engine.gate.clear()
    id = served.make(ask("a")).id
    with pytest.raises(anthropic.BadRequestError, match="cancel it first"):
        served.client.messages.batches.delete(id)
    with pytest.raises(anthropic.AnthropicError):
        served.client.messages.batches.results(id)
    served.engine.gate.set()
    served.end(id)
    deleted = served.client.messages.batches.delete(id)
    assert (id, "message_batch_deleted") == (deleted.id, deleted.type)
    with pytest.raises(anthropic.NotFoundError):
        served.client.messages.batches.retrieve(id)


def test_a_poll_that_finds_nothing_new_is_short(served: Served) -> None:
    served.engine.gate.clear()
    url = f"{served.url}/v1/messages/batches/{served.make(ask('a')).id}"
    first = httpx.get(url, headers={"x-api-key": "team"})
    again = httpx.get(url, headers={"x-api-key": "team", "if-none-match": first.headers["etag"]})
    assert (304, b"", "5") == (again.status_code, again.content, again.headers["retry-after"])
    served.engine.gate.set()
    served.end(url.rpartition("/")[2])
    ended = httpx.get(url, headers={"x-api-key": "team", "if-none-match": first.headers["etag"]})
    assert (200, False) == (ended.status_code, "retry-after" in ended.headers)


# --- computed once ---


def reused(results: dict[str, MessageBatchIndividualResponse]) -> dict[str, bool]:
    return {
        name: getattr(result.result.message.usage, "haiga_reused", False)  # type: ignore[union-attr]
        for name, result in results.items()
    }


def test_identical_greedy_requests_are_computed_once_across_batches_of_a_workspace(served: Served) -> None:
    greedy = {"temperature": 0}
    first = served.make(*(ask(f"r{i}", "same", **greedy) for i in range(5)), ask("other", "else", **greedy), **OLD)
    results = served.results(first.id)
    assert {"same"} == {text(result) for name, result in results.items() if name != "other"}
    assert ["else", "same"] == sorted(served.engine.said)
    assert 4 == sum(reused(results).values())
    blocks = [{"type": "text", "text": "same"}]
    second = served.make(ask("again", blocks, metadata={"user_id": "u"}, **greedy), **OLD)  # type: ignore[arg-type]
    again = served.results(second.id)
    assert {"again": True} == reused(again)
    assert "same" == text(again["again"])
    assert 2 == len(served.engine.asked)
    served.client = served.as_("others")
    assert {"again": False} == reused(served.results(served.make(ask("again", "same", **greedy), **OLD).id))
    assert 3 == len(served.engine.asked)


@pytest.mark.parametrize(
    ("policy", "computed"), [("deterministic", 1 + 3), ("all", 1 + 1), ("off", 3 + 3)], ids=lambda value: str(value)
)
def test_the_header_says_what_may_be_shared(served: Served, policy: str, computed: int) -> None:
    greedy = [ask(f"g{i}", "same", temperature=0) for i in range(3)]
    sampled = [ask(f"s{i}", "same", temperature=1) for i in range(3)]
    served.results(served.make(*greedy, *sampled, haiga_dedupe=policy, **OLD).id)
    assert computed == len(served.engine.asked)


def test_the_server_s_setting_holds_for_batches_that_do_not_say(tmp_path: Path) -> None:
    engine, settings = Counting(), WebSettings(open=False, dedupe="all")
    with serving_batches(tmp_path / "db", [engine], settings=settings) as url:
        served = Served(url, engine, Clock())
        sampled = [ask(f"s{i}", "same", temperature=1) for i in range(3)]
        served.results(served.make(*sampled, **OLD).id)
        assert 1 == len(engine.asked)
        served.results(served.make(*sampled, haiga_dedupe="off", **OLD).id)
        assert 1 + 3 == len(engine.asked)


def test_a_policy_that_is_none_is_refused(served: Served) -> None:
    with pytest.raises(anthropic.BadRequestError, match="haiga-dedupe"):
        served.make(ask("a"), haiga_dedupe="sometimes")


def test_the_policy_that_a_batch_names_holds_for_each_of_its_lines(served: Served) -> None:
    bad, good = ask("bad", "a vile thing", temperature=0), ask("good", "a thing", temperature=0)
    free = served.results(served.make(bad, good, **OLD).id)
    held = served.results(served.make(bad, good, haiga_policy="standard", **OLD).id)
    assert {"bad": "end_turn", "good": "end_turn"} == reasons(free)
    assert {"bad": "refusal", "good": "end_turn"} == reasons(held)  # no answer of those that were free is shared


def test_a_policy_that_does_not_exist_makes_no_batch(served: Served) -> None:
    with pytest.raises(anthropic.BadRequestError, match="there is no moderation policy none"):
        served.make(ask("a"), haiga_policy="none")
    assert [] == served.client.messages.batches.list().data


def reasons(results: Mapping[str, MessageBatchIndividualResponse]) -> dict[str, str | None]:
    """Why each line's answer ended."""
    assert ["succeeded"] * len(results) == [each.result.type for each in results.values()], results
    return {name: each.result.message.stop_reason for name, each in results.items() if each.result.type == "succeeded"}


def test_canceling_the_batch_that_computes_passes_the_work_on(served: Served) -> None:
    served.engine.gate.clear()
    first = served.make(ask("a", temperature=0), **OLD)
    while not served.engine.asked:
        time.sleep(0.005)
    second = served.make(ask("b", temperature=0), **OLD)
    served.client.messages.batches.cancel(first.id)
    assert "canceled" == served.results(first.id)["a"].result.type
    served.engine.gate.set()
    results = served.results(second.id)
    assert ("hello", {"b": False}) == (text(results["b"]), reused(results))
