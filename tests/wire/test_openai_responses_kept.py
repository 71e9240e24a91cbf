"""Responses that are kept: read, continued, followed, cancelled, deleted, each for its own workspace."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Gate

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from haiga.core.errors import Failed
from haiga.core.generation import BlockStarted, Event, TextDelta, TextRequest
from haiga.core.messages import Text
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.responses.service import LEASE, STOPPED
from tests.unit.wire.openai_responses.told import frames
from tests.wire.openai_server import ABLE, serving
from tests.wire.responses_server import GatedEngine, keeping, serving_kept
from tests.wire.test_openai_chat_sdk import CALLING

TOOLS = [{"type": "function", "name": name, "parameters": {}, "strict": False} for name in ("get_weather", "now")]


@pytest.fixture(scope="module")
def gated() -> GatedEngine:
    engine = GatedEngine(replace(CARD, name="gated"))
    engine.gate = Gate()
    return engine


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, gated: GatedEngine) -> Iterator[str]:
    broken = FakeEngine(replace(CARD, name="broken"), (BlockStarted(0, Text("")), TextDelta(0, "Hal"), Failed("broke")))
    engines = [FakeEngine(), gated, broken, FakeEngine(ABLE, CALLING)]
    with serving_kept(tmp_path_factory.mktemp("kept") / "db", engines) as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="w", max_retries=0) as client:
        yield client


@pytest.fixture
def gate(gated: GatedEngine) -> Iterator[Gate]:
    gated.gate.clear()
    yield gated.gate
    gated.gate.set()


def missing(client: OpenAI, id: str) -> bool:
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{id}' not found"):
        client.responses.retrieve(id)
    return True


# --- kept ---


def test_what_was_answered_can_be_read_again(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="one two", metadata={"k": "v"})
    assert made.model_dump() == client.responses.retrieve(made.id).model_dump()
    with client.responses.stream(model="fake", input="one two") as stream:
        streamed = stream.get_final_response()
    assert "one two" == client.responses.retrieve(streamed.id).output_text


def test_what_is_not_to_be_kept_is_not(client: OpenAI) -> None:
    assert missing(client, client.responses.create(model="fake", input="x", store=False).id)
    with client.responses.stream(model="fake", input="x", store=False) as stream:
        assert missing(client, stream.get_final_response().id)


def test_a_deleted_response_is_gone_and_cannot_be_continued(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="x")
    raw = client.responses.with_raw_response.delete(made.id)
    assert {"id": made.id, "object": "response", "deleted": True} == raw.http_response.json()
    assert missing(client, made.id)
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="fake", input="y", previous_response_id=made.id)
    assert ("previous_response_not_found", "previous_response_id") == (raised.value.code, raised.value.param)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)


def test_a_chain_of_responses_remembers_everything_but_instructions(client: OpenAI) -> None:
    first = client.responses.create(model="fake", input="one two", instructions="a b c d")
    second = client.responses.create(model="fake", input="three", previous_response_id=first.id)
    third = client.responses.create(model="fake", input="four", previous_response_id=second.id)
    # per message one and its words: (1+2) asked, (1+2) answered, (1+1), (1+1), (1+1)
    assert [7, 8, 12] == [made.usage.input_tokens for made in (first, second, third)]
    assert first.id == second.previous_response_id
    counted = client.responses.input_tokens.count(model="fake", input="four", previous_response_id=second.id)
    assert third.usage.input_tokens == counted.input_tokens


def test_calls_are_answered_over_previous_response_id(client: OpenAI) -> None:
    first = client.responses.create(model="able", input="weather?", tools=TOOLS)
    calls = [item.call_id for item in first.output if item.type == "function_call"]
    outputs = [{"type": "function_call_output", "call_id": id, "output": "sunny"} for id in calls]
    again = client.responses.create(model="able", input=outputs, tools=TOOLS, previous_response_id=first.id)
    assert "completed" == again.status
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call toolu_2"):
        client.responses.create(model="able", input=outputs[:1], tools=TOOLS, previous_response_id=first.id)


def test_a_reference_stands_for_a_kept_item(client: OpenAI) -> None:
    first = client.responses.create(model="fake", input="one two three")
    reference = {"type": "item_reference", "id": first.output[0].id}
    again = client.responses.create(model="fake", input=[reference, {"role": "user", "content": "x"}])
    assert 6 == again.usage.input_tokens
    kept = client.responses.input_items.list(again.id, order="asc").data
    assert ["one two three", "x"] == [item.content[0].text for item in kept]
    with pytest.raises(openai.NotFoundError, match="Item with id 'msg_nowhere' not found"):
        client.responses.create(model="fake", input=[{"type": "item_reference", "id": "msg_nowhere"}])


def test_input_items_page_by_page(client: OpenAI) -> None:
    given = [{"id": f"msg_{n}", "role": "user", "content": str(n)} for n in range(5)]
    id = client.responses.create(model="fake", input=given).id
    page = client.responses.input_items.list(id, limit=2)
    assert (["msg_4", "msg_3"], True) == ([item.id for item in page.data], page.has_more)
    everything = [item.id for item in client.responses.input_items.list(id, limit=2, order="asc")]
    assert [f"msg_{n}" for n in range(5)] == everything
    with pytest.raises(openai.BadRequestError):
        client.responses.input_items.list(id, limit=101)


def test_another_workspace_finds_nothing(client: OpenAI, address: str) -> None:
    made = client.responses.create(model="fake", input="secret", background=True)
    conversation = client.conversations.create(items=[{"id": "msg_secret", "role": "user", "content": "secret"}])
    with OpenAI(base_url=address, api_key="other", max_retries=0) as other:
        reference = {"type": "item_reference", "id": "msg_secret"}
        for ask in (
            lambda: other.responses.retrieve(made.id),
            lambda: other.responses.retrieve(made.id, stream=True),
            lambda: other.responses.cancel(made.id),
            lambda: other.responses.delete(made.id),
            lambda: other.responses.input_items.list(made.id),
            lambda: other.responses.create(model="fake", input=[reference]),
            lambda: other.responses.create(model="fake", input="x", conversation=conversation.id),
            lambda: other.conversations.retrieve(conversation.id),
            lambda: other.conversations.update(conversation.id, metadata={"k": "v"}),
            lambda: other.conversations.items.list(conversation.id),
            lambda: other.conversations.items.create(conversation.id, items=[{"role": "user", "content": "x"}]),
            lambda: other.conversations.delete(conversation.id),
        ):
            with pytest.raises(openai.NotFoundError):
                ask()
        with pytest.raises(openai.BadRequestError) as raised:
            other.responses.create(model="fake", input="x", previous_response_id=made.id)
        assert "previous_response_not_found" == raised.value.code
    assert made.id == client.responses.retrieve(made.id).id


def test_a_client_that_goes_away_ends_a_response_that_is_made_for_it(
    client: OpenAI, gate: Gate, gated: GatedEngine
) -> None:
    stream = client.responses.create(model="gated", input="one two", stream=True)
    id = next(stream).response.id
    assert 1 == gated.busy
    stream.close()
    while gated.busy:
        pass
    assert missing(client, id)


class SlowToBegin(FakeEngine):
    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(0.05)
        async for event in super().generate(request):
            yield event


def test_an_error_after_the_headers_were_sent_is_a_stream_of_its_own(tmp_path: Path) -> None:
    services = keeping(tmp_path / "db", [SlowToBegin()])
    impatient = replace(services, settings=replace(services.settings, patience=0.0))
    with serving(impatient) as url, OpenAI(base_url=f"{url}/v1", api_key="w") as client:
        events = list(client.responses.create(model="fake", input="word " * 5000, stream=True))
    assert ["response.created", "error", "response.failed"] == [event.type for event in events]
    assert ("context_length_exceeded", "input") == (events[1].code, events[1].param)


# --- in the background ---


def polled(client: OpenAI, id: str, wanted: set[str]) -> openai.types.responses.Response:
    while (kept := client.responses.retrieve(id)).status not in wanted:
        assert kept.status in ("queued", "in_progress")
    return kept


def test_a_background_response_is_polled_to_its_end(client: OpenAI, gate: Gate) -> None:
    made = client.responses.create(model="gated", input="one two", background=True)
    assert ("queued", True, [], None) == (made.status, made.background, made.output, made.usage)
    assert [] == polled(client, made.id, {"in_progress"}).output
    with pytest.raises(openai.BadRequestError, match="still in progress"):
        client.responses.create(model="fake", input="x", previous_response_id=made.id)
    gate.set()
    done = polled(client, made.id, {"completed"})
    assert ("one two", 2) == (done.output_text, done.usage.output_tokens)


def test_a_background_response_goes_on_when_its_stream_is_left_and_is_taken_up_again(
    client: OpenAI, gate: Gate
) -> None:
    stream = client.responses.create(model="gated", input="one two three", background=True, stream=True)
    first = [next(stream) for _ in range(6)]
    stream.close()
    assert ["created", "queued", "in_progress"] == [event.type.partition(".")[2] for event in first[:3]]
    id = first[0].response.id
    again = client.responses.retrieve(id, stream=True, starting_after=first[-1].sequence_number)
    rest = [next(again)]
    gate.set()
    rest += list(again)
    assert list(range(len(first) + len(rest))) == [event.sequence_number for event in first + rest]
    deltas = [event.delta for event in first + rest if event.type == "response.output_text.delta"]
    assert ("one two three", "response.completed") == ("".join(deltas), rest[-1].type)


def test_the_sdks_stream_helper_takes_up_a_stream(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="one two", background=True)
    with client.responses.stream(response_id=made.id, starting_after=3) as stream:
        numbers = [event.sequence_number for event in stream]
        assert "one two" == stream.get_final_response().output_text
    assert list(range(4, 4 + len(numbers))) == numbers


@pytest.mark.parametrize("background", [False, True])
def test_any_point_of_a_kept_stream_gives_exactly_the_rest(client: OpenAI, address: str, background: bool) -> None:
    asked = {"model": "able", "input": "weather?", "tools": TOOLS, "stream": True, "background": background}
    headers = {"authorization": "Bearer w"}
    with httpx.Client(base_url=address, headers=headers) as http:
        whole = list(frames(http.post("/responses", json=asked).content))
        id = whole[0]["response"]["id"]
        assert whole == list(frames(http.get(f"/responses/{id}", params={"stream": True}).content))
        for after in range(len(whole)):
            query = {"stream": True, "starting_after": after}
            assert whole[after + 1 :] == list(frames(http.get(f"/responses/{id}", params=query).content))


def test_a_response_that_never_had_a_stream_has_none(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="x")
    with pytest.raises(openai.BadRequestError, match="cannot be streamed"):
        client.responses.retrieve(made.id, stream=True)


def test_a_cancelled_response_stays_cancelled(client: OpenAI, gate: Gate) -> None:
    made = client.responses.create(model="gated", input="one two", background=True)
    polled(client, made.id, {"in_progress"})
    following = client.responses.retrieve(made.id, stream=True)
    next(following)
    assert ["cancelled"] * 3 == [
        client.responses.cancel(made.id).status,
        client.responses.cancel(made.id).status,
        client.responses.retrieve(made.id).status,
    ]
    assert "response.cancelled" == list(following)[-1].type


def test_a_response_that_has_ended_is_not_cancelled(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="x", background=True)
    polled(client, made.id, {"completed"})
    assert "completed" == client.responses.cancel(made.id).status
    foreground = client.responses.create(model="fake", input="x")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(foreground.id)


def test_a_response_deleted_under_way_is_stopped(client: OpenAI, gate: Gate, gated: GatedEngine) -> None:
    made = client.responses.create(model="gated", input="one two", background=True)
    polled(client, made.id, {"in_progress"})
    client.responses.delete(made.id)
    assert missing(client, made.id) and 0 == gated.busy


def test_a_failure_in_the_background_is_kept_with_its_reason(client: OpenAI) -> None:
    made = client.responses.create(model="broken", input="x", background=True)
    failed = polled(client, made.id, {"failed"})
    assert ("server_error", "broke") == (failed.error.code, failed.error.message)
    assert ("Hal", "incomplete") == (failed.output_text, failed.output[0].status)
    long = client.responses.create(model="fake", input="word " * 5000, background=True)
    assert "context_length_exceeded" == polled(client, long.id, {"failed"}).error.code
    (told,) = [event for event in client.responses.retrieve(long.id, stream=True) if event.type == "error"]
    assert ("context_length_exceeded", "input") == (told.code, told.param)


def test_what_is_wrong_with_a_background_request_is_told_at_once(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="fake", input="x", background=True, tools=TOOLS)
    assert "tools" == raised.value.param


def test_a_poll_for_what_has_not_changed_has_no_body(address: str, client: OpenAI, gate: Gate) -> None:
    made = client.responses.create(model="gated", input="one", background=True)
    polled(client, made.id, {"in_progress"})
    url, key = f"{address}/responses/{made.id}", {"authorization": "Bearer w"}
    first = httpx.get(url, headers=key)
    again = httpx.get(url, headers=key | {"if-none-match": first.headers["etag"]})
    assert (304, b"", "1") == (again.status_code, again.content, again.headers["retry-after"])
    gate.set()
    polled(client, made.id, {"completed"})
    ended = httpx.get(url, headers=key | {"if-none-match": first.headers["etag"]})
    assert (200, False) == (ended.status_code, "retry-after" in ended.headers)


def test_a_restart_leaves_no_response_in_progress(tmp_path: Path) -> None:
    engine = GatedEngine()
    engine.gate = Gate()
    with serving_kept(tmp_path / "db", [engine]) as url, OpenAI(base_url=url, api_key="w") as client:
        done = client.responses.create(model="fake", input="one", background=True)
        engine.gate.set()
        polled(client, done.id, {"completed"})
        engine.gate.clear()
        lost = client.responses.create(model="fake", input="two", background=True)
        polled(client, lost.id, {"in_progress"})
    later = serving_kept(tmp_path / "db", clock=lambda: time.time() + LEASE + 2)
    with later as url, OpenAI(base_url=url, api_key="w") as client:
        assert "one" == client.responses.retrieve(done.id).output_text
        after = client.responses.retrieve(lost.id)
        assert ("failed", "server_error", STOPPED) == (after.status, after.error.code, after.error.message)
        assert "two" == client.responses.input_items.list(lost.id).data[0].content[0].text
        events = list(client.responses.retrieve(lost.id, stream=True, starting_after=7))
        assert [("response.failed", 8)] == [(event.type, event.sequence_number) for event in events]
        with pytest.raises(RuntimeError, match="completed"), client.responses.stream(response_id=lost.id) as s:
            s.get_final_response()


async def test_async_polling(address: str) -> None:
    async with AsyncOpenAI(base_url=address, api_key="w") as client:
        made = await client.responses.create(model="fake", input="one two", background=True)
        while made.status in ("queued", "in_progress"):
            made = await client.responses.retrieve(made.id)
        again = await client.responses.retrieve(made.id, stream=True)
        assert "response.completed" == [event.type async for event in again][-1]
    assert "one two" == made.output_text


def test_what_is_kept_expires(tmp_path: Path) -> None:
    now = [1000.0]
    services = keeping(tmp_path / "db", clock=lambda: now[0])
    with serving(services) as url, OpenAI(base_url=f"{url}/v1", api_key="w", max_retries=0) as client:
        first = client.responses.create(model="fake", input="one")
        conversation = client.conversations.create()
        now[0] += 20 * 24 * 3600
        second = client.responses.create(model="fake", input="two", previous_response_id=first.id)
        client.responses.create(model="fake", input="x", conversation=conversation.id)
        now[0] += 20 * 24 * 3600
        third = client.responses.create(model="fake", input="three", previous_response_id=second.id)
        assert [2, 6, 10] == [made.usage.input_tokens for made in (first, second, third)]
        assert 2 == len(client.conversations.items.list(conversation.id).data)
        now[0] += 40 * 24 * 3600
        assert missing(client, third.id)
        with pytest.raises(openai.NotFoundError, match="Conversation with id"):
            client.conversations.retrieve(conversation.id)
