"""Webhooks: endpoints by the official SDK, events unwrapped by both SDKs, tries, the log."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event as Gate
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic.types.beta import BetaWebhookEvent
from openai import OpenAI
from openai.types.webhooks import WebhookEndpointWithSecret

from haiga.core.webhooks import DAY, DELAYS, EVENT_TYPES
from haiga.web.openapi import webhooks as answers
from tests.wire.receiver import Receiver, receiving
from tests.wire.responses_server import GatedEngine
from tests.wire.test_batches_sdk import Clock
from tests.wire.webhook_server import serving_webhooks

CHAT: Any = "/v1/chat/completions"


class Served:
    """A server that tells others, and clients of it; each test has a workspace of its own."""

    def __init__(self, url: str, engine: GatedEngine, clock: Clock, workspace: str) -> None:
        self.url, self.engine, self.clock, self.workspace = url, engine, clock, workspace
        self.openai = self.as_(workspace)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key=workspace, max_retries=0)

    def as_(self, workspace: str) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=workspace, max_retries=0)

    def wants(self, url: str, *types: Any) -> WebhookEndpointWithSecret:
        return self.openai.webhooks.create(name="mine", url=url, event_types=list(types))

    def background(self) -> str:
        return self.openai.responses.create(model="fake", input="hello", background=True).id

    def log(self, endpoint: str, path: str = "", method: str = "GET") -> Any:
        url = f"{self.url}/v1/webhook_endpoints/{endpoint}/deliveries{path}"
        answer = httpx.request(method, url, headers={"x-api-key": self.workspace})
        return answer.raise_for_status().json()

    def logged(self, endpoint: str, status: str) -> dict[str, Any]:
        """The only delivery to an endpoint, once it has a status."""
        return self.once(endpoint, lambda delivery: delivery["status"] == status)

    def tried(self, endpoint: str, tries: int) -> dict[str, Any]:
        """The only delivery to an endpoint, once it waits for the next try after so many."""

        def waits(delivery: dict[str, Any]) -> bool:
            last, following = delivery["last_attempt_at"], delivery["next_attempt_at"]
            return delivery["attempts"] == tries and last is not None and following == last + DELAYS[tries - 1]

        return self.once(endpoint, waits)

    def once(self, endpoint: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in range(2000):
            found = self.log(endpoint)["data"]
            for delivery in found:
                answers.DeliveryAnswer.model_validate(delivery)
            if len(found) == 1 and holds(found[0]):
                return found[0]
            time.sleep(0.005)
        raise AssertionError(f"not yet: {found}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, GatedEngine, Clock]]:
    engine, clock = GatedEngine(), Clock()
    engine.gate = Gate()
    engine.gate.set()
    with serving_webhooks(tmp_path_factory.mktemp("webhooks") / "db", engine, clock) as url:
        yield url, engine, clock


@pytest.fixture
def served(server: tuple[str, GatedEngine, Clock], request: pytest.FixtureRequest) -> Iterator[Served]:
    url, engine, clock = server
    clock.ahead = 0.0
    engine.gate.set()
    served = Served(url, engine, clock, request.node.name)
    with served.openai, served.anthropic:
        yield served


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def unwrapped(client: OpenAI, heard: tuple[dict[str, str], str], secret: str) -> dict[str, Any]:
    return client.webhooks.unwrap(heard[1], heard[0], secret=secret).model_dump()


# --- endpoints ---


def test_an_endpoint_is_made_read_changed_and_deleted(served: Served) -> None:
    webhooks = served.openai.webhooks
    raw = webhooks.with_raw_response.create(name="mine", url="https://a.example/x", event_types=["batch.completed"])
    answers.NewWebhookAnswer.model_validate_json(raw.text)
    made = raw.parse()
    assert ("mine", "https://a.example/x", ["batch.completed"]) == (made.name, made.url, made.event_types)
    assert made.signing_secret.startswith("whsec_") and made.signing_secret.endswith(made.signing_secret_hint[-5:])
    shown = webhooks.retrieve(made.id)
    assert made.model_dump(exclude={"signing_secret"}) == shown.model_dump()
    changed = webhooks.update(made.id, name="ours", url="https://b.example/", event_types=["batch.failed"])
    assert ("ours", "https://b.example/", ["batch.failed"]) == (changed.name, changed.url, changed.event_types)
    assert changed == webhooks.update(made.id) == webhooks.retrieve(made.id)
    gone = webhooks.delete(made.id)
    assert (made.id, True) == (gone.id, gone.deleted)
    with pytest.raises(openai.NotFoundError, match=f"Webhook endpoint '{made.id}' not found"):
        webhooks.retrieve(made.id)


def test_endpoints_are_listed_newest_first_page_by_page_up_to_the_limit_of_a_workspace(served: Served) -> None:
    made = [served.wants(f"https://{i}.example/", "batch.completed").id for i in range(5)]
    assert sorted(made) == sorted(each.id for each in served.openai.webhooks.list(limit=2))
    assert 2 == len(served.openai.webhooks.list(limit=2).data)
    with pytest.raises(openai.BadRequestError, match="at most 5 webhook endpoints"):
        served.wants("https://6.example/", "batch.completed")


def test_another_workspace_learns_nothing_of_an_endpoint(served: Served) -> None:
    made = served.wants("https://a.example/", "batch.completed")
    other = served.as_("somebody else").webhooks
    for use in (other.retrieve, other.update, other.delete, other.rotate_secret):
        with pytest.raises(openai.NotFoundError):
            use(made.id)
    assert [] == other.list().data


def test_the_types_of_events_are_listed(served: Served) -> None:
    assert list(EVENT_TYPES) == served.openai.webhooks.event_types.list().data


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": "ftp://a.example/"}, "not a URL that can be fetched"),
        ({"url": "https://user:pass@a.example/"}, "a.example: the URL carries credentials"),
        ({"url": "http://10.0.0.1/"}, "10.0.0.1: has no public address"),
        ({"url": "http://169.254.169.254/latest"}, "has no public address"),
        ({"url": 1}, "Invalid type for 'url': expected a string"),
        ({"event_types": []}, "Invalid 'event_types'"),
        ({"event_types": ["video.completed"]}, "Invalid value: 'video.completed'. Supported values are: 'batch."),
        ({"event_types": "batch.completed"}, "expected an array"),
        ({"name": ""}, "Invalid 'name'"),
        ({"name": None}, "Invalid type for 'name'"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_told(served: Served, change: dict[str, Any], told: str) -> None:
    body = {"name": "mine", "url": "https://a.example/", "event_types": ["batch.completed"], **change}
    with pytest.raises(openai.BadRequestError) as error:
        served.openai.post("/webhook_endpoints", body=body, cast_to=object)
    assert told in error.value.message
    assert str(error.value.param).startswith(next(iter(change)))


# --- events ---


def test_the_end_of_a_background_response_is_told_and_unwrapped_by_the_sdk(served: Served, receiver: Receiver) -> None:
    endpoint = served.wants(receiver.url, "response.completed", "response.failed")
    id = served.background()
    (heard,) = receiver.wait(1)
    event = unwrapped(served.openai, heard, endpoint.signing_secret)
    assert ("response.completed", {"id": id}, "event") == (event["type"], event["data"], event["object"])
    assert event["id"] == heard[0]["webhook-id"]
    delivery = served.logged(endpoint.id, "delivered")
    assert (event["id"], 1, 204, None) == tuple(
        delivery[name] for name in ("id", "attempts", "response_status_code", "next_attempt_at")
    )
    with pytest.raises(openai.InvalidWebhookSignatureError):
        unwrapped(served.openai, (heard[0], heard[1].replace("completed", "failed")), endpoint.signing_secret)


def test_every_end_of_a_background_response_has_its_event_and_others_have_none(
    served: Served, receiver: Receiver
) -> None:
    endpoint = served.wants(receiver.url, *(type for type in EVENT_TYPES if type.startswith("response.")))
    served.openai.responses.create(model="fake", input="not in the background")
    long = "word " * 20
    short = served.openai.responses.create(model="fake", input=long, max_output_tokens=16, background=True)
    receiver.wait(1)
    served.engine.gate.clear()
    cancelled = served.background()
    served.openai.responses.cancel(cancelled)
    heard = [unwrapped(served.openai, each, endpoint.signing_secret) for each in receiver.wait(2)]
    told = [(event["type"], event["data"]["id"]) for event in heard]
    assert [("response.incomplete", short.id), ("response.cancelled", cancelled)] == told


def test_the_end_of_a_message_batch_is_told_and_unwrapped_by_anthropics_sdk(served: Served, receiver: Receiver) -> None:
    endpoint = served.wants(receiver.url, "message_batch.ended")
    params: Any = {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    batch = served.anthropic.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    ((headers, body),) = receiver.wait(1)
    event = served.anthropic.beta.webhooks.unwrap(body, headers=headers, key=endpoint.signing_secret)
    assert isinstance(event, BetaWebhookEvent)
    assert ("event", headers["webhook-id"]) == (event.type, event.id)
    told = {"type": "message_batch.ended", "id": batch.id, "workspace_id": served.workspace, "organization_id": "haiga"}
    assert told == json.loads(body)["data"]
    ended = served.anthropic.messages.batches.retrieve(batch.id)
    assert ("ended", ended.ended_at) == (ended.processing_status, event.created_at)


def test_every_end_of_a_batch_of_files_is_told_and_unwrapped_by_the_sdk(served: Served, receiver: Receiver) -> None:
    endpoint = served.wants(receiver.url, *(type for type in EVENT_TYPES if type.startswith("batch.")))

    def batch(line: str) -> str:
        file = served.openai.files.create(file=("lines.jsonl", line.encode()), purpose="batch")
        made = served.openai.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        return made.id

    def told(number: int) -> tuple[str, str]:
        event = unwrapped(served.openai, receiver.wait(number)[-1], endpoint.signing_secret)
        return event["type"], event["data"]["id"]

    body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}]}
    line = json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": body})
    assert ("batch.completed", batch(line)) == told(1)
    assert ("batch.failed", batch("no json")) == told(2)
    served.engine.gate.clear()
    cancelled = batch(line)
    served.openai.batches.cancel(cancelled)
    assert ("batch.cancelled", cancelled) == told(3)
    expired = batch(line)
    served.clock.ahead += DAY + 10
    assert ("batch.expired", expired) == told(4)


def test_a_response_that_a_former_process_left_unfinished_is_told_to_have_failed(
    receiver: Receiver, tmp_path: Path
) -> None:
    engine = GatedEngine()
    engine.gate = Gate()
    with serving_webhooks(tmp_path / "db", engine) as url, OpenAI(base_url=f"{url}/v1", api_key="w") as client:
        endpoint = client.webhooks.create(name="a", url=receiver.url, event_types=["response.failed"])
        engine.gate.set()
        id = client.responses.create(model="fake", input="x", background=True).id
        while client.responses.retrieve(id).status != "completed":
            time.sleep(0.005)
    with closing(sqlite3.connect(tmp_path / "db")) as database, database:
        database.execute("UPDATE responses SET status = 'in_progress'")  # as a kill would have left it
    with serving_webhooks(tmp_path / "db", engine) as url, OpenAI(base_url=f"{url}/v1", api_key="w") as client:
        (heard,) = receiver.wait(1)
        event = unwrapped(client, heard, endpoint.signing_secret)
        assert ("response.failed", {"id": id}) == (event["type"], event["data"])
        assert "failed" == client.responses.retrieve(id).status


def test_an_event_is_told_to_every_endpoint_of_its_workspace_that_wants_it(served: Served, receiver: Receiver) -> None:
    first, second = (served.wants(receiver.url, "response.completed") for _ in range(2))
    served.wants(receiver.url, "response.failed")
    served.as_("elsewhere").webhooks.create(name="o", url=receiver.url, event_types=["response.completed"])
    served.background()
    heard = receiver.wait(2)
    for endpoint in (first, second):
        assert 1 == sum(verifies(served.openai, each, endpoint.signing_secret) for each in heard)
        served.logged(endpoint.id, "delivered")
    assert 2 == len(receiver.heard)


def verifies(client: OpenAI, heard: tuple[dict[str, str], str], secret: str) -> bool:
    try:
        client.webhooks.verify_signature(heard[1], heard[0], secret=secret)
    except openai.InvalidWebhookSignatureError:
        return False
    return True


# --- secrets ---


def test_after_a_rotation_the_old_secret_is_good_for_a_day_if_it_is_kept(served: Served, receiver: Receiver) -> None:
    endpoint = served.wants(receiver.url, "response.completed")
    secrets = [endpoint.signing_secret]
    for keep in (True, False):
        rotated = served.openai.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=keep)
        secrets.append(rotated.signing_secret)
        served.background()
        heard = receiver.wait(len(secrets) - 1)[-1]
        assert [keep, True] == [verifies(served.openai, heard, secret) for secret in secrets[-2:]]
    assert 3 == len(set(secrets))
    assert rotated.signing_secret_hint != endpoint.signing_secret_hint


def test_no_signing_secret_is_in_the_database(served: Served, tmp_path: Path) -> None:
    engine = GatedEngine()
    engine.gate = Gate()
    with serving_webhooks(tmp_path / "db", engine) as url, OpenAI(base_url=f"{url}/v1", api_key="w") as client:
        made = client.webhooks.create(name="a", url="https://a.example/", event_types=["batch.completed"])
        kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert made.id.encode() in kept
    assert made.signing_secret.removeprefix("whsec_")[:16].encode() not in kept


# --- tries ---


def test_a_test_event_is_sent_at_once_and_is_in_no_log(served: Served, receiver: Receiver) -> None:
    endpoint = served.wants(receiver.url, "batch.completed")
    receiver.statuses = [204, 500]
    for status in (204, 500):
        raw = served.openai.webhooks.with_raw_response.test(endpoint.id, event_type="batch.failed")
        answers.TestedWebhookAnswer.model_validate_json(raw.text)
        assert status == raw.parse().status_code
    event = unwrapped(served.openai, receiver.heard[0], endpoint.signing_secret)
    assert "batch.failed" == event["type"]
    assert [] == served.log(endpoint.id)["data"]


def test_a_test_of_an_endpoint_that_nobody_serves_is_refused_with_the_reason(served: Served) -> None:
    with receiving() as receiver:
        endpoint = served.wants(receiver.url, "batch.completed")
    with pytest.raises(openai.BadRequestError, match=r"127\.0\.0\.1: cannot be reached"):
        served.openai.webhooks.test(endpoint.id, event_type="batch.failed")


def test_a_delivery_that_fails_is_tried_again_as_the_same_event(served: Served, receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 204]
    endpoint = served.wants(receiver.url, "response.completed")
    served.background()
    receiver.wait(1)
    for tries in (1, 2):
        served.tried(endpoint.id, tries)
        served.clock.ahead += DELAYS[tries - 1] + 1
        receiver.wait(tries + 1)
    assert 3 == served.logged(endpoint.id, "delivered")["attempts"]
    assert 1 == len({headers["webhook-id"] for headers, _ in receiver.heard})
    assert 1 == len({body for _, body in receiver.heard})


def test_the_log_says_why_a_delivery_failed_and_when_it_is_tried_again(served: Served) -> None:
    with receiving() as receiver:
        endpoint = served.wants(receiver.url, "response.completed")
    served.background()
    delivery = served.tried(endpoint.id, 1)
    assert ("127.0.0.1: cannot be reached", None) == (delivery["error"], delivery["response_status_code"])


def test_an_endpoint_that_fails_for_three_days_is_disabled_and_can_be_enabled_again(
    served: Served, receiver: Receiver
) -> None:
    receiver.statuses = [500, 500, 204]
    endpoint = served.wants(receiver.url, "response.completed")
    served.background()
    served.tried(endpoint.id, 1)
    served.clock.ahead += 3 * DAY + 10
    receiver.wait(2)
    served.logged(endpoint.id, "failed")
    shown: Any = served.openai.webhooks.retrieve(endpoint.id)
    assert ("disabled", "No delivery succeeded for three days.") == (shown.state, shown.disabled_reason)
    served.background()
    (delivery,) = served.log(endpoint.id)["data"]
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        served.log(endpoint.id, f"/{delivery['id']}/redeliver", "POST")
    enabled: Any = served.openai.webhooks.update(endpoint.id, extra_body={"state": "enabled"})
    assert ("enabled", None) == (enabled.state, enabled.disabled_reason)
    again = served.log(endpoint.id, f"/{delivery['id']}/redeliver", "POST")
    assert (delivery["id"], "pending") == (again["id"], again["status"])
    receiver.wait(3)
    assert 204 == served.logged(endpoint.id, "delivered")["response_status_code"]
    assert served.log(endpoint.id, f"/{delivery['id']}") == served.logged(endpoint.id, "delivered")


def test_an_endpoint_that_is_gone_or_switched_off_is_told_nothing(served: Served, receiver: Receiver) -> None:
    receiver.statuses = [410]
    gone = served.wants(receiver.url, "response.completed")
    off = served.wants(receiver.url, "response.completed")
    served.openai.webhooks.update(off.id, extra_body={"state": "disabled"})
    served.background()
    served.logged(gone.id, "failed")
    reasons = [getattr(served.openai.webhooks.retrieve(each.id), "disabled_reason", "") for each in (gone, off)]
    assert ["The endpoint answered 410 Gone.", "Disabled by its owner."] == reasons
    assert ([], 1) == (served.log(off.id)["data"], len(receiver.heard))


def test_an_unknown_event_of_an_endpoint_is_not_there(served: Served) -> None:
    endpoint = served.wants("https://a.example/", "response.completed")
    for path, method in (("/evt_1", "GET"), ("/evt_1/redeliver", "POST")):
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            served.log(endpoint.id, path, method)
