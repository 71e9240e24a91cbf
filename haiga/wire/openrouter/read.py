"""Reads OpenRouter's requests into core values.

Rule: the conversation is read as Chat Completions'; what OpenRouter adds says which models may answer (routing.py), and
what of the answer is shown.
"""

from dataclasses import dataclass, replace
from typing import Any

import orjson

from haiga.core.generation import Source, TextRequest, ThinkingRequest, sourced
from haiga.core.ports import ModelCard
from haiga.wire.body import read_object
from haiga.wire.openai_body import read_shape
from haiga.wire.openai_chat import rules
from haiga.wire.openai_chat.messages_in import cache_mark
from haiga.wire.openai_chat.read import ChatRequest, chat_request
from haiga.wire.openrouter import shapes
from haiga.wire.openrouter.routing import OURS, Routing, prompt_limit, provider_slug, read_routing


@dataclass(frozen=True, slots=True)
class RouterRequest:
    """`reasoning`: whether thoughts are shown."""

    chat: ChatRequest
    routing: Routing
    reasoning: bool = True
    session: str | None = None
    body: bytes = b""

    def meant(self, card: ModelCard) -> TextRequest:
        """What it takes of any model, whatever one gives."""
        return replace(self.chat.request, max_tokens=self.chat.max_tokens or 0)

    def choices(self, card: ModelCard) -> tuple[TextRequest, ...]:
        """One core request to this model for each answer wanted. Raises Invalid when they are to be too long."""
        made = tuple(replace(choice, model=card.name) for choice in self.chat.choices(card))
        if "router" not in card.forms or len(made) > 1:
            return made
        return (sourced(made[0], Source("router", self._for_router(card.provider), self.body)),)

    def _for_router(self, name: str) -> dict[str, Any]:
        """The body for OpenRouter itself, which chooses among its own providers: neither this server nor what it is
        called here is one of them. What is judged beside the answer is judged here."""
        raw: dict[str, Any] = orjson.loads(self.body)
        wanted = dict(raw.get("provider") or {})
        for field in ("order", "only", "ignore"):
            others = [each for each in wanted.pop(field, None) or () if provider_slug(each) not in (OURS, name.lower())]
            wanted |= {field: others} if others else {}
        raw.pop("moderation", None)
        return {**raw, "provider": wanted or None}

    def compresses(self, card: ModelCard, last: bool) -> bool:
        """Whether to leave out of a conversation that does not fit this model."""
        return self.routing.compresses(card, last)

    def prompt_limit(self, card: ModelCard) -> int:
        """How many tokens a prompt may have that had to be made smaller."""
        return prompt_limit(card, self.chat.max_tokens)


def read_router_chat(body: bytes) -> RouterRequest:
    """The body of POST /api/v1/chat/completions. Raises Invalid, Unsupported and NotFound."""
    shape = read_shape(shapes.RouterBody, read_object(body))
    rules.check(shape, streamed_options=False)
    routing = read_routing(shape, shape.models or (), told=(shape.n or 1) == 1)
    chat = chat_request(shape)
    request = replace(
        chat.request,
        model=routing.names[0],
        thinking=_thinking(shape),
        cache=cache_mark(shape.cache_control),
        extra=_extra(shape, chat),
    )
    return RouterRequest(
        replace(chat, request=request, form=replace(chat.form, include_usage=True)),
        routing,
        _shows_reasoning(shape),
        shape.session_id,
        body,
    )


def _extra(shape: shapes.RouterBody, chat: ChatRequest) -> dict[str, object]:
    effort = shape.reasoning.effort if shape.reasoning else None
    return {**chat.request.extra, **({"effort": effort} if effort else {})}


def _thinking(shape: shapes.RouterBody) -> ThinkingRequest:
    wanted = shape.reasoning or shapes.Reasoning(effort=shape.reasoning_effort)
    if wanted.enabled is False or wanted.effort == "none":
        return ThinkingRequest("disabled")
    if wanted.max_tokens is not None:
        return ThinkingRequest("enabled", wanted.max_tokens)
    return ThinkingRequest("adaptive")


def _shows_reasoning(shape: shapes.RouterBody) -> bool:
    return shape.include_reasoning is not False and not (shape.reasoning and shape.reasoning.exclude)
