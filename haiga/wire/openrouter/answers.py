"""The shapes of what OpenRouter's API answers, for the OpenAPI document and the tests that hold our answers to it."""

from typing import Any, Literal

from pydantic import BaseModel

from haiga.wire.openai_chat.answers import Count, FinishReason


class RouterError(BaseModel):
    """`code` is the HTTP status."""

    code: int
    message: str
    metadata: dict[str, Any] | None = None


class RouterErrorAnswer(BaseModel):
    error: RouterError


class RouterChoice(BaseModel):
    index: Count
    message: dict[str, Any]
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason
    native_finish_reason: str


class RouterUsage(BaseModel):
    """`cost` is in US dollars."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    cost: float
    is_byok: bool
    prompt_tokens_details: dict[str, int]
    cost_details: dict[str, float | None]
    completion_tokens_details: dict[str, int]


class RouterChatAnswer(BaseModel):
    id: str
    provider: str
    model: str
    object: Literal["chat.completion"]
    created: int
    choices: list[RouterChoice]
    moderation: dict[str, Any] | None = None
    usage: RouterUsage


class RouterModelsAnswer(BaseModel):
    data: list[dict[str, Any]]
    links: dict[str, str | None]
    total_count: Count


class RouterDataAnswer(BaseModel):
    data: dict[str, Any]


class RouterListAnswer(BaseModel):
    data: list[dict[str, Any]]
