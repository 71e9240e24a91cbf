"""The shapes of what the API of webhook endpoints answers, for the OpenAPI document and the tests that hold our
answers to it.

Rule: answers are written by messages.py without passing through these.
"""

from typing import Literal

from pydantic import BaseModel


class WebhookAnswer(BaseModel):
    """`disabled_reason` says why nothing is sent. Times are unix seconds."""

    id: str
    object: Literal["webhook_endpoint"]
    created_at: int
    updated_at: int
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    state: Literal["enabled", "disabled"]
    disabled_reason: str | None


class NewWebhookAnswer(WebhookAnswer):
    """With the signing secret, which no other answer has."""

    signing_secret: str


class WebhooksAnswer(BaseModel):
    object: Literal["list"]
    data: list[WebhookAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedWebhookAnswer(BaseModel):
    id: str
    object: Literal["webhook_endpoint.deleted"]
    deleted: bool


class TestedWebhookAnswer(BaseModel):
    """`status_code` is what the endpoint answered."""

    object: Literal["webhook_endpoint.test"]
    event_type: str
    webhook_endpoint_id: str
    status_code: int
    success: Literal[True]


class EventTypesAnswer(BaseModel):
    object: Literal["list"]
    data: list[str]


class DeliverySubject(BaseModel):
    id: str


class DeliveryAnswer(BaseModel):
    """`id` is the event's, as in `webhook-id`; `response_status_code` and `error` are of the last of the `attempts`;
    `next_attempt_at` is null when there is none to come. Times are unix seconds."""

    id: str
    object: Literal["webhook_delivery"]
    webhook_endpoint_id: str
    event_type: str
    data: DeliverySubject
    created_at: int
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    response_status_code: int | None
    error: str | None
    last_attempt_at: int | None
    next_attempt_at: int | None


class DeliveriesAnswer(BaseModel):
    object: Literal["list"]
    data: list[DeliveryAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool
