"""Batches of files, with the official openai SDK as client."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types import Batch

from haiga.services.batches import clerk
from haiga.web.app import WebSettings
from haiga.wire.openai_batches.lines import AskedChat
from haiga.wire.openai_chat.read import read_chat
from tests.wire.batch_server import Counting, serving_batches
from tests.wire.test_batches_sdk import Clock

CHAT, COMPLETION, EMBEDDING, RESPONSE = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
)
DAY = 24 * 3600
BUSY = ("validating", "in_progress", "finalizing", "cancelling")


class Served:
    """A server with batches of files, and clients of it."""

    def __init__(self, url: str, engine: Counting, clock: Clock) -> None:
        self.url, self.engine, self.clock = url, engine, clock
        self.client = self.as_("team")

    def as_(self, workspace: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=workspace, max_retries=0)

    def make(self, *lines: Any, endpoint: Any = CHAT, **more: Any) -> Batch:
        data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        file = self.client.files.create(file=("in.jsonl", data), purpose="batch")
        create = self.client.batches.create
        return create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)

    def until(self, id: str, *states: str) -> Batch:
        for _ in range(2000):
            batch = self.client.batches.retrieve(id)
            if batch.status in states:
                return batch
            time.sleep(0.005)
        raise AssertionError(f"the batch stays {batch.status}")

    def end(self, id: str) -> Batch:
        return self.until(id, "completed", "failed", "expired", "cancelled")

    def told(self, file: str | None) -> dict[str, Any]:
        """The lines of a file of results, by their custom ids."""
        assert file is not None
        lines = [json.loads(line) for line in self.client.files.content(file).text.splitlines()]
        assert len(lines) == len({line["custom_id"] for line in lines}) == len({line["id"] for line in lines})
        return {line["custom_id"]: line for line in lines}

    def bodies(self, *lines: Any, **more: Any) -> dict[str, Any]:
        """What each line of a batch was answered."""
        batch = self.end(self.make(*lines, **more).id)
        assert "completed" == batch.status
        return {name: line["response"]["body"] for name, line in self.told(batch.output_file_id).items()}


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": "fake", **body}}


def ask(custom_id: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    return line(custom_id, **{"messages": [{"role": "user", "content": text}], **more})


def counts(batch: Batch) -> Sequence[int]:
    told = batch.request_counts
    assert told is not None
    return [told.total, told.completed, told.failed]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(clerk, "POLL", 0.01)
    engine, now = Counting(), Clock()
    settings = WebSettings(open=False)
    with serving_batches(tmp_path / "db", [engine], clock=now, settings=settings) as url:
        yield Served(url, engine, now)


def test_every_line_is_answered_in_a_file(served: Served) -> None:
    made = served.make(ask("one", "first words"), b"", ask("two", "second", max_tokens=9), metadata={"k": "v"})
    assert ("validating", CHAT, [0, 0, 0], {"k": "v"}, "batch") == (
        made.status,
        made.endpoint,
        counts(made),
        made.metadata,
        made.object,
    )
    assert made.expires_at == made.created_at + DAY
    ended = served.end(made.id)
    assert ("completed", [2, 2, 0], None, "fake") == (ended.status, counts(ended), ended.error_file_id, ended.model)
    moments = (ended.created_at, ended.in_progress_at, ended.finalizing_at, ended.completed_at)
    assert sorted(moments) == list(moments)  # type: ignore[type-var]
    assert None is ended.failed_at is ended.expired_at is ended.cancelled_at is ended.errors
    told = served.told(ended.output_file_id)
    assert {"one": "first words", "two": "second"} == {name: content(each) for name, each in told.items()}
    first = told["one"]
    assert (True, 200, None) == (first["id"].startswith("batch_req_"), first["response"]["status_code"], first["error"])
    assert ended.usage is not None
    assert (3, ended.usage.input_tokens + 3) == (ended.usage.output_tokens, ended.usage.total_tokens)
    file = served.client.files.retrieve(str(ended.output_file_id))
    assert ("batch_output", 30 * DAY) == (file.purpose, (file.expires_at or 0) - file.created_at)
    assert {"batch"} == {request.priority for request in served.engine.asked}
    assert {"team"} == {request.workspace for request in served.engine.asked}


def content(result: dict[str, Any]) -> str:
    return str(result["response"]["body"]["choices"][0]["message"]["content"])


def test_chat_lines_are_answered_as_requests_are(served: Served) -> None:
    bodies = served.bodies(ask("a", "x y", n=2), ask("b", "x y", max_completion_tokens=1, store=True))
    assert ["x y", "x y"] == [choice["message"]["content"] for choice in bodies["a"]["choices"]]
    assert ("length", "chat.completion", "fake") == (
        bodies["b"]["choices"][0]["finish_reason"],
        bodies["b"]["object"],
        bodies["b"]["model"],
    )
    assert bodies["b"]["id"].startswith("chatcmpl-")


def test_completions_are_answered(served: Served) -> None:
    bodies = served.bodies(line("a", COMPLETION, prompt=["one", "two"], n=2), endpoint=COMPLETION)
    assert ["one", "one", "two", "two"] == [choice["text"] for choice in bodies["a"]["choices"]]


def test_embeddings_are_answered_and_the_same_texts_are_embedded_once(served: Served) -> None:
    lines = [line(name, EMBEDDING, input=["one", "two"]) for name in "ab"]
    base64 = line("c", EMBEDDING, input="one", encoding_format="base64")
    bodies = served.bodies(*lines, base64, endpoint=EMBEDDING)
    assert bodies["a"]["data"] == bodies["b"]["data"]
    assert [0, 1] == [item["index"] for item in bodies["a"]["data"]]
    assert isinstance(bodies["c"]["data"][0]["embedding"], str)
    assert [False, True] == sorted("haiga_reused" in bodies[name]["usage"] for name in "ab")


def test_responses_are_answered(served: Served) -> None:
    bodies = served.bodies(
        line("a", RESPONSE, input="hello you", instructions="Be brief."),
        line("b", RESPONSE, input="hello you", max_output_tokens=1),
        endpoint=RESPONSE,
    )
    response = openai.types.responses.Response.model_validate(bodies["a"])
    assert ("completed", "hello you", False) == (response.status, response.output_text, bodies["a"]["store"])
    assert response.usage and 2 == response.usage.output_tokens
    assert {"reason": "max_output_tokens"} == bodies["b"]["incomplete_details"]


WRONG: Sequence[tuple[dict[str, Any], int, str | None]] = (
    ({"model": "unknown"}, 404, None),
    ({"messages": []}, 400, "messages"),
    ({"max_tokens": 10**9}, 400, "max_tokens"),
    ({"stream": True}, 400, "stream"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": "a" + " a" * 4999}]}, 400, "messages"),
)


def test_what_is_wrong_with_a_line_is_its_own_result(served: Served) -> None:
    bad = [ask(str(i), **body) for i, (body, _, _) in enumerate(WRONG)]
    batch = served.end(served.make(*bad, ask("good")).id)
    assert ("completed", [len(WRONG) + 1, 1, len(WRONG)]) == (batch.status, counts(batch))
    assert "hello" == content(served.told(batch.output_file_id)["good"])
    failed = served.told(batch.error_file_id)
    assert {str(i): (None, status, param) for i, (_, status, param) in enumerate(WRONG)} == {
        name: (each["error"], each["response"]["status_code"], each["response"]["body"]["error"]["param"])
        for name, each in failed.items()
    }
    assert all(each["response"]["request_id"].startswith("req_") for each in failed.values())


def test_a_response_that_somebody_would_come_back_for_is_refused(served: Served) -> None:
    reference = [{"type": "item_reference", "id": "msg_1"}]
    fields = {"previous_response_id": "resp_1", "background": True, "input": reference, "truncation": "auto"}
    bad = [line(name, RESPONSE, **{"input": "hello", name: value}) for name, value in fields.items()]
    batch = served.end(served.make(*bad, endpoint=RESPONSE).id)
    assert (None, [4, 0, 4]) == (batch.output_file_id, counts(batch))
    for name, each in served.told(batch.error_file_id).items():
        assert each["response"]["body"]["error"]["param"].startswith(name)


BROKEN: Sequence[tuple[list[Any], list[tuple[str, int | None, str | None]]]] = (
    ([b""], [("empty_file", None, None)]),
    ([b"{", ask("a"), b"[1]"], [("invalid_json_line", 1, None), ("invalid_json_line", 3, None)]),
    ([ask("a"), ask("b"), ask("a")], [("duplicate_custom_id", 3, "custom_id")]),
    ([{"custom_id": "a"}], [("missing_required_parameter", 1, "method")]),
    ([{**ask("a"), "method": "GET"}], [("invalid_method", 1, "method")]),
    ([{**ask("a"), "body": "x"}], [("invalid_type", 1, "body")]),
    ([{**ask("a"), "custom_id": ""}], [("invalid_custom_id", 1, "custom_id")]),
    ([line("a", COMPLETION)], [("mismatched_url", 1, "url")]),
)


def test_a_file_that_is_wrong_fails_whole_with_the_lines_named(served: Served) -> None:
    for lines, problems in BROKEN:
        batch = served.end(served.make(*lines).id)
        assert ("failed", [0, 0, 0], None) == (batch.status, counts(batch), batch.output_file_id)
        assert batch.failed_at and batch.errors and batch.errors.data
        assert problems == [(problem.code, problem.line, problem.param) for problem in batch.errors.data]
    assert [] == served.engine.asked


def test_no_more_problems_are_told_than_anyone_reads(served: Served) -> None:
    batch = served.end(served.make(*[b"{"] * 500).id)
    assert batch.errors and 100 == len(batch.errors.data or ())


def test_lines_of_moderations_are_judged(served: Served) -> None:
    moderations = "/v1/moderations"
    lines = [
        {"custom_id": name, "method": "POST", "url": moderations, "body": {"input": text}}
        for name, text in (("one", "a vile thing"), ("two", ["fine", "vile"]), ("none", []))
    ]
    batch = served.end(served.make(*lines, endpoint=moderations).id)
    assert ("completed", [3, 2, 1]) == (batch.status, counts(batch))
    bodies = {name: each["response"]["body"] for name, each in served.told(batch.output_file_id).items()}
    assert {"one": [True], "two": [False, True]} == {
        name: [result["flagged"] for result in body["results"]] for name, body in bodies.items()
    }
    (failed,) = served.told(batch.error_file_id).values()
    assert (400, "input") == (failed["response"]["status_code"], failed["response"]["body"]["error"]["param"])
    assert batch.usage and 5 == batch.usage.input_tokens


def test_lines_are_judged_beside_their_answers_where_they_ask_for_it(served: Served) -> None:
    wanted = {"model": "omni-moderation-latest"}
    bodies = served.bodies(
        ask("vile", "a vile thing", temperature=0, moderation=wanted),
        ask("plain", "a vile thing", temperature=0),
    )
    judged = bodies["vile"]["moderation"]
    assert [True, True] == [judged[side]["results"][0]["flagged"] for side in ("input", "output")]
    assert "moderation" not in bodies["plain"]
    responses = served.bodies(line("a", RESPONSE, input="a vile thing", moderation=wanted), endpoint=RESPONSE)
    response = openai.types.responses.Response.model_validate(responses["a"])
    assert response.moderation and response.moderation.input.flagged and response.moderation.output.flagged  # type: ignore[union-attr]


def test_a_line_that_is_to_be_judged_by_nobody_is_refused(served: Served) -> None:
    batch = served.end(served.make(ask("a", moderation={"model": "nobody"})).id)
    (failed,) = served.told(batch.error_file_id).values()
    answer = failed["response"]
    assert (404, "moderation.model") == (answer["status_code"], answer["body"]["error"]["param"])


def test_a_batch_that_cannot_be_is_refused(served: Served) -> None:
    file = served.client.files.create(file=b"x", purpose="batch")
    asked: Any = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    wrong: dict[str, Any] = {
        "endpoint": {"endpoint": "/v1/videos"},
        "completion_window": {"completion_window": "1h"},
        "metadata.k": {"metadata": {"k": "v" * 513}},
        "output_expires_after.seconds": {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
    }
    for param, more in wrong.items():
        with pytest.raises(openai.BadRequestError) as caught:
            served.client.batches.create(**{**asked, **more})
        assert param == caught.value.param


def test_an_input_file_must_be_there_and_be_for_batches(served: Served) -> None:
    create: Any = served.client.batches.create
    other = served.client.files.create(file=b"x", purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="'user_data'"):
        create(input_file_id=other.id, endpoint=CHAT, completion_window="24h")
    with pytest.raises(openai.NotFoundError, match="No such File object: file-none"):
        create(input_file_id="file-none", endpoint=CHAT, completion_window="24h")


def test_batches_are_listed_newest_first_and_each_family_has_its_own(served: Served) -> None:
    made = [served.make(ask("a")).id for _ in range(3)]
    assert made[::-1] == [batch.id for batch in served.client.batches.list(limit=2)]
    page = served.client.batches.list(limit=1, after=made[2])
    assert ([made[1]], True) == ([batch.id for batch in page.data], page.has_more)
    theirs = httpx.get(f"{served.url}/v1/messages/batches", headers={"x-api-key": "team"})
    assert [] == theirs.json()["data"]
    assert 404 == httpx.get(f"{served.url}/v1/messages/batches/{made[0]}", headers={"x-api-key": "team"}).status_code
    other = served.as_("others").batches
    assert [] == list(other.list())
    for call in (other.retrieve, other.cancel):
        with pytest.raises(openai.NotFoundError):
            call(made[0])


def test_a_canceled_batch_keeps_the_results_it_has_and_names_the_others(served: Served) -> None:
    gate = served.engine.gate
    gate.clear()
    made = served.make(*(ask(f"r{i}", f"text {i}") for i in range(40)))
    while len(served.engine.asked) < 32:
        time.sleep(0.005)
    assert "cancelling" == served.client.batches.cancel(made.id).status
    batch = served.end(made.id)
    assert ("cancelled", [40, 0, 40], None) == (batch.status, counts(batch), batch.output_file_id)
    assert batch.cancelled_at and batch.cancelling_at
    errors = served.told(batch.error_file_id)
    assert {("batch_cancelled", None)} == {(each["error"]["code"], each["response"]) for each in errors.values()}
    assert "cancelled" == served.client.batches.cancel(made.id).status


def test_what_has_no_result_after_a_day_expires(served: Served) -> None:
    served.engine.gate.clear()
    made = served.make(ask("a"), ask("b", "other"))
    while len(served.engine.asked) < 2:
        time.sleep(0.005)
    served.clock.ahead = DAY
    batch = served.end(made.id)
    assert ("expired", [2, 0, 2]) == (batch.status, counts(batch))
    assert batch.expired_at
    assert {"batch_expired"} == {each["error"]["code"] for each in served.told(batch.error_file_id).values()}


def test_files_of_results_go_when_they_are_to(served: Served) -> None:
    after = {"anchor": "created_at", "seconds": 3600}
    batch = served.end(served.make(ask("a"), output_expires_after=after).id)
    served.clock.ahead = 3601
    with pytest.raises(openai.NotFoundError):
        served.client.files.content(str(batch.output_file_id))


def test_an_input_file_may_go_once_it_was_read(served: Served) -> None:
    served.engine.gate.clear()
    made = served.make(ask("a"))
    served.until(made.id, "in_progress")
    served.client.files.delete(made.input_file_id)
    served.engine.gate.set()
    assert "hello" == content(served.told(served.end(made.id).output_file_id)["a"])


def test_identical_greedy_lines_are_computed_once_across_batches(served: Served) -> None:
    lines = [ask(f"r{i}", "same", temperature=0) for i in range(4)]
    served.bodies(*lines)
    again = served.bodies(ask("again", "same", temperature=0))
    assert ("same", True) == (
        again["again"]["choices"][0]["message"]["content"],
        again["again"]["usage"]["haiga_reused"],
    )
    assert ["same"] == served.engine.said


def test_lines_whose_answers_are_written_otherwise_share_none(served: Served) -> None:
    vectors = [line(kind, EMBEDDING, input="one", encoding_format=kind) for kind in ("float", "base64")]
    bodies = served.bodies(*vectors, endpoint=EMBEDDING)
    kinds = {name: type(body["data"][0]["embedding"]) for name, body in bodies.items()}
    assert {"float": list, "base64": str} == kinds
    told = [line(name, RESPONSE, input="same", temperature=0, metadata={"of": name}) for name in "ab"]
    responses = served.bodies(*told, endpoint=RESPONSE)
    assert {"a": {"of": "a"}, "b": {"of": "b"}} == {name: body["metadata"] for name, body in responses.items()}
    tool = {"name": "look", "parameters": {"type": "object", "properties": {}}}
    tools: Any = {"old": {"functions": [tool]}, "new": {"tools": [{"type": "function", "function": tool}]}}
    asked = (ask(name, temperature=0, **more)["body"] for name, more in tools.items())
    written = {AskedChat(read_chat(json.dumps(body).encode())).written for body in asked}
    assert 2 == len(written)


def test_a_poll_that_finds_nothing_new_is_short(served: Served) -> None:
    served.engine.gate.clear()
    made = served.make(ask("a"))
    served.until(made.id, "in_progress")
    url, key = f"{served.url}/v1/batches/{made.id}", {"authorization": "Bearer team"}
    first = httpx.get(url, headers=key)
    again = httpx.get(url, headers={**key, "if-none-match": first.headers["etag"]})
    assert (304, b"", "5") == (again.status_code, again.content, again.headers["retry-after"])
    served.engine.gate.set()


def test_the_other_family_can_fetch_what_the_server_made(served: Served) -> None:
    batch = served.end(served.make(ask("a")).id)
    headers = {"x-api-key": "team", "anthropic-version": "2023-06-01"}
    url = f"{served.url}/v1/files/{batch.output_file_id}"
    assert httpx.get(url, headers=headers).json()["downloadable"]
    assert "hello" in httpx.get(f"{url}/content", headers=headers).text
