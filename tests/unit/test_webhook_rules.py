"""When a delivery is tried again, and when an endpoint is given up."""

from dataclasses import replace

import pytest

from haiga.core.jobs import Batch, Counts
from haiga.core.webhooks import (
    DAY,
    DELAYS,
    Delivery,
    WebhookEndpoint,
    WebhookEvent,
    attempted,
    batch_event,
    judged,
)

EVENT = WebhookEvent("batch.completed", "batch_1", "w", 100)
ENDPOINT = WebhookEndpoint("wh_a", "w", "mine", "https://a.example/", (EVENT.type,), 1, 2, "…abcd")


def test_an_event_has_one_id_whoever_tells_of_it_and_whenever() -> None:
    assert EVENT.id == replace(EVENT, at=7, workspace="x").id
    assert 3 == len({EVENT.id, replace(EVENT, subject="batch_2").id, replace(EVENT, type="batch.failed").id})


def test_tries_are_made_for_three_days_further_and_further_apart() -> None:
    assert 2.9 * DAY < sum(DELAYS) < 3 * DAY
    assert sorted(DELAYS) == list(DELAYS)
    delivery, now, tries = Delivery("wh_a", EVENT, next_at=100), 100, 0
    while delivery.next_at is not None:
        now = delivery.next_at
        delivery = attempted(replace(delivery, attempts=delivery.attempts + 1), 500, None, now, 0.5)
        tries += 1
    assert (len(DELAYS) + 1, "failed", 100 + sum(DELAYS)) == (tries, delivery.state, now)


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 270), (0.5, 300), (1.0, 330)])
def test_a_delay_is_a_tenth_longer_or_shorter_by_chance(chance: float, delay: int) -> None:
    assert 1000 + delay == attempted(Delivery("wh_a", EVENT, attempts=3), None, "no answer", 1000, chance).next_at


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_answer_of_2xx_is_a_delivery(status: int) -> None:
    done = attempted(Delivery("wh_a", EVENT, attempts=2, error="no answer"), status, None, 7, 0.5)
    assert Delivery("wh_a", EVENT, "delivered", 2, None, 7, status) == done


@pytest.mark.parametrize("status", [100, 301, 307, 400, 404, 429, 500, 503])
def test_any_other_answer_is_tried_again(status: int) -> None:
    tried = attempted(Delivery("wh_a", EVENT, attempts=1), status, None, 7, 0.5)
    assert ("pending", status, 12) == (tried.state, tried.status, tried.next_at)


def test_an_endpoint_that_is_gone_is_disabled_at_once() -> None:
    tried = attempted(Delivery("wh_a", EVENT, attempts=1), 410, None, 7, 0.5)
    assert ("failed", None) == (tried.state, tried.next_at)
    assert "The endpoint answered 410 Gone." == judged(ENDPOINT, tried, 7).disabled


def test_an_endpoint_is_disabled_after_three_days_of_failures_and_not_before() -> None:
    failed = attempted(Delivery("wh_a", EVENT, attempts=1), 500, None, 7, 0.5)
    failing = judged(ENDPOINT, failed, 7)
    assert (7, None) == (failing.failing_since, failing.disabled)
    assert None is judged(failing, failed, 7 + 3 * DAY - 1).disabled
    assert "No delivery succeeded for three days." == judged(failing, failed, 7 + 3 * DAY).disabled
    done = attempted(Delivery("wh_a", EVENT, attempts=1), 200, None, 7, 0.5)
    assert ENDPOINT == judged(failing, done, 7 + 3 * DAY)


@pytest.mark.parametrize(
    ("prefix", "canceled_at", "counts", "type"),
    [
        ("msgbatch", None, Counts(succeeded=1), "message_batch.ended"),
        ("msgbatch", 5, Counts(canceled=1), "message_batch.ended"),
        ("batch", None, Counts(errored=1), "batch.completed"),
        ("batch", 5, Counts(succeeded=1), "batch.cancelled"),
        ("batch", None, Counts(expired=1), "batch.expired"),
    ],
)
def test_what_is_told_of_a_batch_that_has_ended(prefix: str, canceled_at: int, counts: Counts, type: str) -> None:
    batch = Batch(
        f"{prefix}_1", "w", "/v1/x", 1, 9, "ended", total=1, counts=counts, cancel_initiated_at=canceled_at, ended_at=8
    )
    assert WebhookEvent(type, batch.id, "w", 8) == batch_event(batch)
