"""Webhook endpoints and their log as the OpenAI API shows them, and the bodies that are sent to them.

Rule: an event has the shape of the API that its subject belongs to, so that this API's own SDK unwraps it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from pydantic import Field

from haiga.core.webhooks import EVENT_TYPES, Delivery, WebhookEndpoint, WebhookEvent
from haiga.wire.body import read_object
from haiga.wire.openai_body import AnyShape, Shape, read_shape, unsupported_values

ANTHROPIC = "message_batch."  # what begins so is Anthropic's
ORGANIZATION = "haiga"  # Anthropic's events name one, and there is only one here


class WebhookBody(Shape):
    """The body of POST /v1/webhook_endpoints."""

    event_types: list[str] = Field(min_length=1, max_length=64, description="Which events are sent.")
    name: str = Field(min_length=1, max_length=256)
    url: str = Field(max_length=2048, description="Where they are sent; see `--allow-fetch` for hosts inside.")


class WebhookChange(Shape):
    """The body of POST /v1/webhook_endpoints/{id}: what is given changes, the rest stays."""

    event_types: list[str] | None = Field(None, min_length=1, max_length=64)
    name: str | None = Field(None, min_length=1, max_length=256)
    url: str | None = Field(None, max_length=2048)
    state: Literal["enabled", "disabled"] | None = Field(None, description="`enabled` forgets earlier failures.")


class WebhookRotation(Shape):
    """The body of POST /v1/webhook_endpoints/{id}/rotate_secret."""

    keep_old_secret_active_for_24_hours: bool = False


class WebhookTest(Shape):
    """The body of POST /v1/webhook_endpoints/{id}/test."""

    event_type: str


def read_webhook(body: bytes) -> WebhookBody:
    """Raises Invalid."""
    shape = read_shape(WebhookBody, read_object(body))
    _check_types(shape.event_types)
    return shape


def read_change(body: bytes) -> WebhookChange:
    """Raises Invalid."""
    shape = read_shape(WebhookChange, read_object(body))
    _check_types(shape.event_types or ())
    return shape


def read_rotation(body: bytes) -> WebhookRotation:
    """Raises Invalid."""
    return _read_optional(WebhookRotation, body)


def read_test(body: bytes) -> WebhookTest:
    """Raises Invalid."""
    shape = read_shape(WebhookTest, read_object(body))
    if shape.event_type not in EVENT_TYPES:
        raise unsupported_values(shape.event_type, EVENT_TYPES, "event_type")
    return shape


def _read_optional(shape: type[AnyShape], body: bytes) -> AnyShape:
    return read_shape(shape, read_object(body or b"{}"))


def _check_types(types: Sequence[str]) -> None:
    for i, type in enumerate(types):
        if type not in EVENT_TYPES:
            raise unsupported_values(type, EVENT_TYPES, f"event_types[{i}]")


# --- answers ---


def write_webhook(endpoint: WebhookEndpoint, secret: str | None = None) -> bytes:
    """`secret` is shown when it was just made."""
    told = {} if secret is None else {"signing_secret": secret}
    return orjson.dumps({**_endpoint(endpoint), **told})


def write_webhooks(endpoints: Sequence[WebhookEndpoint], more: bool) -> bytes:
    return _list([_endpoint(endpoint) for endpoint in endpoints], more)


def write_deleted(id: str) -> bytes:
    return orjson.dumps({"id": id, "object": "webhook_endpoint.deleted", "deleted": True})


def write_tested(id: str, type: str, status: int) -> bytes:
    told = {"event_type": type, "webhook_endpoint_id": id, "status_code": status, "success": True}
    return orjson.dumps({"object": "webhook_endpoint.test", **told})


def write_types() -> bytes:
    return orjson.dumps({"object": "list", "data": EVENT_TYPES})


def write_delivery(delivery: Delivery) -> bytes:
    return orjson.dumps(_delivery(delivery))


def write_deliveries(deliveries: Sequence[Delivery], more: bool) -> bytes:
    return _list([_delivery(delivery) for delivery in deliveries], more)


def write_event(event: WebhookEvent) -> bytes:
    """The body that is sent. It is the same at every try."""
    if not event.type.startswith(ANTHROPIC):
        data: dict[str, Any] = {"id": event.subject}
        told = {"id": event.id, "object": "event", "created_at": event.at, "type": event.type, "data": data}
        return orjson.dumps(told)
    at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    where = {"organization_id": ORGANIZATION, "workspace_id": event.workspace}
    data = {"type": event.type, "id": event.subject, **where}
    return orjson.dumps({"id": event.id, "type": "event", "created_at": at, "data": data})


def _endpoint(endpoint: WebhookEndpoint) -> Mapping[str, Any]:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.types,
        "signing_secret_hint": endpoint.hint,
        "state": "enabled" if endpoint.disabled is None else "disabled",
        "disabled_reason": endpoint.disabled,
    }


def _delivery(delivery: Delivery) -> Mapping[str, Any]:
    return {
        "id": delivery.event.id,
        "object": "webhook_delivery",
        "webhook_endpoint_id": delivery.endpoint,
        "event_type": delivery.event.type,
        "data": {"id": delivery.event.subject},
        "created_at": delivery.event.at,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "response_status_code": delivery.status,
        "error": delivery.error,
        "last_attempt_at": delivery.last_at,
        "next_attempt_at": delivery.next_at,
    }


def _list(data: Sequence[Mapping[str, Any]], more: bool) -> bytes:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": more})
