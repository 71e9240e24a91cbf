"""The request body of POST /api/v1/chat/completions: Chat Completions' and what OpenRouter adds.

Rule: shapes only, as for Chat Completions.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.wire.openai_body import Shape
from haiga.wire.openai_chat.shapes import CacheControlMark, ChatBody

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class MaxPrice(Shape):
    """US dollars per million tokens; the API takes numbers and strings."""

    prompt: float | str | None = None
    completion: float | str | None = None


class ProviderPreferences(Shape):
    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    quantizations: list[str] | None = None
    sort: str | dict[str, Any] | None = None
    max_price: MaxPrice | None = None


class Plugin(Shape):
    id: str
    enabled: bool | None = None
    engine: str | None = None
    allowed_models: list[str] | None = None
    excluded_models: list[str] | None = None


class Reasoning(Shape):
    effort: Effort | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    exclude: bool | None = None
    enabled: bool | None = None
    summary: str | None = None


def _default_model(value: Any) -> Any:
    return "" if value is None else value


class RoutedBody(Shape):
    """The fields that say who may answer, in whatever form the rest of the body is. `model` may be left out when
    `models` names some."""

    model: Annotated[str, Field(max_length=256), BeforeValidator(_default_model)] = ""
    models: list[Annotated[str, Field(min_length=1, max_length=256)]] | None = Field(
        default=None, max_length=32, fail_fast=True
    )
    provider: ProviderPreferences | None = None
    route: str | None = None
    plugins: list[Plugin] | None = Field(default=None, fail_fast=True)
    transforms: list[str] | None = None
    session_id: str | None = Field(default=None, max_length=256)


class Fallback(Shape):
    model: str = Field(min_length=1, max_length=256)


class FallbacksBody(RoutedBody):
    """As Messages and Responses have them: `fallbacks` names further models in another way than `models`."""

    fallbacks: list[Fallback] | None = Field(default=None, max_length=3, fail_fast=True)


class RouterBody(RoutedBody, ChatBody):
    """The body of POST /api/v1/chat/completions."""

    model: Annotated[str, Field(max_length=256), BeforeValidator(_default_model)] = ""
    reasoning: Reasoning | None = None
    include_reasoning: bool | None = None
    top_a: float | None = Field(default=None, ge=0, le=1)
    cache_control: CacheControlMark | None = None
    trace: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
