"""Webhooks: who is told of what, and when a delivery that failed is tried again.

Rule: an event is noted in the transaction that makes it true, and is the same event however often it is sent: its id
follows from what happened to what.

    delivery   pending ──> delivered            an answer of 2xx
                  └──────> failed               after the last try, or when its endpoint is disabled or gone (410)
    endpoint   enabled <──> disabled            by its owner, by 410, or after TOO_LONG without any success
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, TypeAlias

from haiga.core.jobs import Batch

DeliveryState: TypeAlias = Literal["pending", "delivered", "failed"]

EVENT_TYPES = (
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "message_batch.ended",
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
)
MINUTE, HOUR, DAY = 60, 3600, 86400
# seconds from one try to the next: eleven tries in about three days
DELAYS = (5, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 18 * HOUR, 22 * HOUR)
JITTER = 0.1  # part of a delay that it is longer or shorter by chance, so that tries do not come in herds
TOO_LONG = 3 * DAY  # seconds without any success until an endpoint is disabled
OLD_SECRET = DAY  # seconds that a secret goes on being good after a rotation, if that is asked for
KEPT = 30 * DAY  # seconds that the log is kept
GONE = 410


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """`type` happened to what has the id `subject`, at unix second `at`."""

    type: str
    subject: str
    workspace: str
    at: int

    @property
    def id(self) -> str:
        return f"evt_{sha256(f'{self.type} {self.subject}'.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where events of some `types` are sent. `secret` numbers its signing secret, `hint` shows a part of it; the
    secret before that one is good until `old_until`. `disabled` is the reason, None while events are sent;
    `failing_since` the first failure after the last success. Times are unix seconds."""

    id: str
    workspace: str
    name: str
    url: str
    types: tuple[str, ...]
    created_at: int
    updated_at: int
    hint: str
    secret: int = 1
    old_until: int | None = None
    disabled: str | None = None
    failing_since: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint. `status` and `error` are of the last of the `attempts`; `next_at` is when
    the next one is due, None when there is none. Times are unix seconds."""

    endpoint: str
    event: WebhookEvent
    state: DeliveryState = "pending"
    attempts: int = 0
    next_at: int | None = None
    last_at: int | None = None
    status: int | None = None
    error: str | None = None


def batch_event(batch: Batch) -> WebhookEvent:
    """What is told of a batch that has ended."""
    assert batch.ended_at is not None
    return WebhookEvent(_batch_type(batch), batch.id, batch.workspace, batch.ended_at)


def _batch_type(batch: Batch) -> str:
    if batch.id.startswith("msgbatch_"):
        return "message_batch.ended"
    if batch.status == "failed":
        return "batch.failed"
    if batch.cancel_initiated_at is not None:
        return "batch.cancelled"
    return "batch.expired" if batch.counts.expired else "batch.completed"


def attempted(delivery: Delivery, status: int | None, error: str | None, now: int, chance: float) -> Delivery:
    """The delivery after a try that got an answer's `status`, or failed with an `error`; `chance` is 0 to 1."""
    tried = replace(delivery, status=status, error=error, last_at=now, next_at=None)
    if status is not None and 200 <= status < 300:
        return replace(tried, state="delivered", error=None)
    if status == GONE or delivery.attempts > len(DELAYS):
        return replace(tried, state="failed")
    delay = DELAYS[delivery.attempts - 1] * (1 + JITTER * (2 * chance - 1))
    return replace(tried, next_at=now + max(1, round(delay)))


def judged(endpoint: WebhookEndpoint, tried: Delivery, now: int) -> WebhookEndpoint:
    """The endpoint after a try."""
    if tried.state == "delivered":
        return replace(endpoint, failing_since=None)
    since = now if endpoint.failing_since is None else endpoint.failing_since
    failing = replace(endpoint, failing_since=since)
    if endpoint.disabled is not None:
        return failing
    if tried.status == GONE:
        return replace(failing, disabled="The endpoint answered 410 Gone.")
    if now - since >= TOO_LONG:
        return replace(failing, disabled="No delivery succeeded for three days.")
    return failing
