"""Every way in which an upstream fails, against every policy: the right error or the next model, and never a joined
half."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from haiga.core.routes import REASONS, Reason, Route
from tests.far_server import SILENT, Answer, Asked, stream, whole
from tests.wire.upstreams.recorded import CHUNKS, EVENTS
from tests.wire.upstreams.served import Fronted, fronted

ASK: dict[str, Any] = {"model": "both", "max_tokens": 9, "messages": [{"role": "user", "content": "one two"}]}
DIRECT = {**ASK, "model": "claude-far"}


def refusal(status: int, kind: str, message: str, **headers: str) -> Answer:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_far"}
    return whole(body, status, **headers)


FAILURES: Mapping[str, tuple[Answer | None, int, str, Reason | None]] = {
    # what is answered, the status and the error's type here, and the reason for which another model may be tried
    "silence": (SILENT, 500, "api_error", "timeout"),
    "no word": (None, 500, "api_error", "error"),
    "500": (refusal(500, "api_error", "boom"), 500, "api_error", "error"),
    "502 in HTML": (Answer((b"<html>",), 502, {"content-type": "text/html"}), 500, "api_error", "error"),
    "504": (refusal(504, "timeout_error", "slow"), 500, "api_error", "timeout"),
    "529": (refusal(529, "overloaded_error", "full", retry_after="7"), 529, "overloaded_error", "rate_limit"),
    "503": (refusal(503, "api_error", "down"), 529, "overloaded_error", "rate_limit"),
    "429": (refusal(429, "rate_limit_error", "slow down", retry_after="7"), 429, "rate_limit_error", "rate_limit"),
    "wrong key": (refusal(401, "authentication_error", "invalid x-api-key"), 500, "api_error", "error"),
    "no credit": (refusal(402, "billing_error", "pay"), 500, "api_error", "error"),
    "no such model": (refusal(404, "not_found_error", "model: x"), 404, "not_found_error", "error"),
    "too long": (
        refusal(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
        400,
        "invalid_request_error",
        "context",
    ),
    "too large": (refusal(413, "request_too_large", "big"), 413, "request_too_large", "context"),
    "moderated": (
        whole(
            {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}}, 403
        ),
        403,
        "permission_error",
        "moderation",
    ),
    "wrong request": (refusal(400, "invalid_request_error", "messages: no"), 400, "invalid_request_error", None),
    "no stream": (Answer((b"<html>",), 200, {"content-type": "text/html"}), 500, "api_error", "error"),
    "no JSON": (whole(b"{nonsense"), 500, "api_error", "error"),
    "another JSON": (whole([1, 2]), 500, "api_error", "error"),
    "garbage": (Answer((b"\x00\xff" * 99,)), 500, "api_error", "error"),
    "garbage in frames": (stream(b"data: {nonsense\n\n"), 500, "api_error", "error"),
    "out of order": (stream({"type": "content_block_stop", "index": 0}), 500, "api_error", "error"),
    "an error first": (
        stream({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        529,
        "overloaded_error",
        "rate_limit",
    ),
    "cut before a word": (stream(*EVENTS[:3], cut=True), 500, "api_error", "error"),
}
IMPATIENT = {"timeout": 0.3}


def through(name: str, route: Route | None = None, **changes: Any) -> Any:
    answer = FAILURES[name][0]
    patience = IMPATIENT if name == "silence" else {}
    return fronted("anthropic", lambda asked: answer, [route] if route else [], **(patience | changes))


def route(*reasons: Reason) -> Route:
    return Route("both", ((("claude-far", 1.0),), (("fake", 1.0),)), frozenset(reasons))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", FAILURES)
def test_alone_each_failure_ends_in_its_error(name: str, streamed: bool) -> None:
    _, status, kind, _ = FAILURES[name]
    with through(name) as near:
        answer = near.message({**DIRECT, "stream": streamed})
        if answer.status_code == 200:  # some of it had come
            assert streamed and "cut before a word" == name
            last = orjson.loads(answer.content.rpartition(b"data: ")[2])
            assert ("error", kind) == (last["type"], last["error"]["type"])
        else:
            assert (status, kind) == (answer.status_code, answer.json()["error"]["type"])


@pytest.mark.parametrize("name", [name for name, row in FAILURES.items() if row[3]])
def test_a_route_goes_on_to_the_next_model_for_that_reason_and_for_no_other(name: str) -> None:
    _, status, _, reason = FAILURES[name]
    assert reason is not None
    with through(name, route(reason)) as near:
        answer = near.message(ASK)
        assert (200, "fake", "one two") == (answer.status_code, answer.json()["model"], said(answer))
    others = [other for other in REASONS if other != reason]
    with through(name, route(*others)) as near:
        assert status == near.message(ASK).status_code


def test_a_request_that_is_wrong_is_not_asked_again() -> None:
    with through("wrong request", route(*REASONS)) as near:
        assert 400 == near.message(ASK).status_code


def said(answer: httpx.Response) -> str:
    return "".join(block["text"] for block in answer.json()["content"])


TEXT = [*EVENTS[:1], *EVENTS[7:9]]  # an answer that has begun with "Looking at "


@pytest.mark.parametrize(
    "end",
    [
        (b"", True),
        (b"data: {nonsense\n\n", False),
        (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n', False),
        (b"event: x\n", False),
    ],
)
def test_what_breaks_in_the_middle_ends_in_an_error_and_never_in_another_s_words(end: tuple[bytes, bool]) -> None:
    rest, cut = end
    with fronted("anthropic", lambda asked: stream(*TEXT, rest, cut=cut), [route(*REASONS)]) as near:
        answer = near.message({**ASK, "stream": True})
        kinds = [orjson.loads(part.partition(b"\n")[0])["type"] for part in answer.content.split(b"data: ")[1:]]
        start = ["message_start", "content_block_start", "content_block_delta"]
        assert [*start, "content_block_stop", "error"] == kinds
        assert b"one" not in answer.content
        whole_answer = near.message(ASK)
        assert 500 <= whole_answer.status_code


def test_a_chat_that_breaks_in_the_middle_is_not_done() -> None:
    with fronted("openai", lambda asked: stream(*CHUNKS[:5], cut=True)) as near:
        answer = near.chat({**DIRECT, "model": "gpt-far", "stream": True})
        assert b"[DONE]" not in answer.content and b'"error"' in answer.content.rpartition(b"data: ")[2]


def test_retry_after_is_carried_and_a_route_leaves_the_model_alone_until_then() -> None:
    with through("429") as near:
        assert "7" == near.message(DIRECT).headers["retry-after"]
    with through("429", route(*REASONS)) as near:
        assert ["fake", "fake"] == [near.message(ASK).json()["model"] for _ in range(2)]
        assert 1 == len(near.far.asked)
    alone = Route("both", ((("claude-far", 1.0),),))
    with through("429", alone) as near:
        assert [429, 429] == [near.message(ASK).status_code for _ in range(2)]
        assert 1 == len(near.far.asked)
        assert "7" == near.message(ASK).headers["retry-after"]


def test_a_model_that_fails_again_and_again_is_left_alone() -> None:
    with through("500") as near:
        assert [500] * 5 + [529] * 2 == [near.message(DIRECT).status_code for _ in range(7)]
        assert 5 == len(near.far.asked)
        assert 500 == near.message({**DIRECT, "model": "claude-other"}).status_code


def test_an_upstream_that_is_not_there_is_told_apart() -> None:
    with fronted("anthropic", lambda asked: None, url="http://127.0.0.1:1") as near:
        answer = near.message(DIRECT)
        assert (500, "anthropic cannot be reached") == (answer.status_code, answer.json()["error"]["message"])


def test_a_model_that_is_slow_to_begin_gives_way_where_another_is_left() -> None:
    quick = Route("both", ((("claude-far", 1.0),), (("fake", 1.0),)), timeout=0.2)
    with fronted("anthropic", lambda asked: SILENT, [quick]) as near:
        assert "fake" == near.message(ASK).json()["model"]
        assert_left(near)


def test_a_client_that_goes_away_leaves_no_connection_behind() -> None:
    with fronted("anthropic", lambda asked: Answer((*frames(TEXT), 60.0))) as near:
        with near.near.stream("POST", "/v1/messages", json={**DIRECT, "stream": True}, headers=VERSION) as answer:
            assert b"message_start" in next(answer.iter_bytes())
        assert_left(near)


VERSION = {"anthropic-version": "2023-06-01"}


def frames(events: list[dict[str, Any]]) -> list[bytes]:
    return [piece for piece in stream(*events).pieces if isinstance(piece, bytes)]


def assert_left(near: Fronted) -> None:
    """The connection is closed, however long that takes."""
    deadline = time.monotonic() + 20
    while near.far.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 0 == near.far.open


def test_an_offline_server_refuses_an_upstream_by_name() -> None:
    with fronted("anthropic", lambda asked: None, offline=True, url="http://192.0.2.1") as near:
        answer = near.message(DIRECT)
        told = "model claude-far is run by the upstream anthropic, and this server is offline"
        assert (400, f"model: {told}") == (answer.status_code, answer.json()["error"]["message"])
        listed = near.near.get("/v1/models", headers=VERSION).json()["data"]
        assert ["fake"] == [model["id"] for model in listed]


def test_one_that_is_at_its_bound_waits_for_its_turn() -> None:
    most = 0

    def script(asked: Asked) -> Answer:
        nonlocal most
        most = max(most, near.far.open)
        return Answer((*frames(EVENTS[:-1]), 0.05, *frames(EVENTS[-1:])))

    with fronted("anthropic", script, concurrency=1) as near, ThreadPoolExecutor(4) as pool:
        assert [200] * 4 == [done.status_code for done in pool.map(lambda _: near.message(DIRECT), range(4))]
        assert 1 == most
