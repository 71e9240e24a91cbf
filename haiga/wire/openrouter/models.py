"""The models as OpenRouter lists them: prices are strings, in US dollars per token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from haiga.core.ports import Capabilities, ModelCard
from haiga.core.records import Price
from haiga.wire.openrouter import PROVIDER

ALWAYS = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "min_p",
    "prediction",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
    "verbosity",
)
TOOLS = ("parallel_tool_calls", "tool_choice", "tools")
THINKING = ("include_reasoning", "reasoning", "reasoning_effort")
STRUCTURED = ("response_format", "structured_outputs")


@dataclass(frozen=True, slots=True)
class Page:
    """Which models of the list are wanted: `text` occurs in the name, every one of `parameters` is supported."""

    offset: int = 0
    limit: int | None = None
    text: str = ""
    parameters: tuple[str, ...] = ()

    def chosen(self, cards: Sequence[ModelCard]) -> list[ModelCard]:
        """All that match, whatever page they are on."""
        wanted = self.text.casefold()
        return [
            card
            for card in cards
            if wanted in f"{card.name} {card.display_name}".casefold()
            and set(self.parameters) <= set(supported_parameters(card))
        ]


def supported_parameters(card: ModelCard) -> list[str]:
    can = card.capabilities
    if not can.text:
        return []
    more = (
        (TOOLS if can.tools else ())
        + (THINKING if can.thinking else ())
        + (STRUCTURED if can.structured_output else ())
    )
    return sorted((*ALWAYS, *more))


def write_models(cards: Sequence[ModelCard], prices: Mapping[str, Price], page: Page, path: str) -> bytes:
    """One page of the list; `path` is that of the list itself, for the link to the next page."""
    matching = page.chosen(cards)
    end = len(matching) if page.limit is None else page.offset + page.limit
    following = f"{path}?offset={end}&limit={page.limit}" if end < len(matching) else None
    shown = [_model(card, prices.get(card.name, Price())) for card in matching[page.offset : end]]
    return orjson.dumps({"data": shown, "links": {"next": following}, "total_count": len(matching)})


def write_model(card: ModelCard, price: Price) -> bytes:
    return orjson.dumps({"data": _model(card, price)})


def write_count(cards: Sequence[ModelCard]) -> bytes:
    return orjson.dumps({"data": {"count": len(cards)}})


def write_endpoints(card: ModelCard, price: Price) -> bytes:
    """The providers of one model, of which there is one."""
    described = {
        "id": card.name,
        "name": card.display_name,
        "created": card.created,
        "description": "",
        "architecture": _architecture(card.capabilities),
        "endpoints": [_endpoint(card, price)],
    }
    return orjson.dumps({"data": described})


def _endpoint(card: ModelCard, price: Price) -> dict[str, Any]:
    return {
        "name": f"{card.provider or PROVIDER} | {card.name}",
        "model_id": card.name,
        "model_name": card.display_name,
        "context_length": card.context,
        "pricing": _pricing(price),
        "provider_name": card.provider or PROVIDER,
        "tag": (card.provider or PROVIDER).lower(),
        "quantization": "unknown",
        "max_completion_tokens": card.max_output,
        "max_prompt_tokens": None,
        "supported_parameters": supported_parameters(card),
        "status": 0,
        "uptime_last_5m": None,
        "uptime_last_30m": None,
        "uptime_last_1d": None,
        "latency_last_30m": None,
        "throughput_last_30m": None,
        "supports_implicit_caching": True,
    }


def _model(card: ModelCard, price: Price) -> dict[str, Any]:
    return {
        "id": card.name,
        "canonical_slug": card.name,
        "hugging_face_id": None,
        "name": card.display_name,
        "created": card.created,
        "description": "",
        "context_length": card.context,
        "architecture": _architecture(card.capabilities),
        "pricing": _pricing(price),
        "top_provider": {
            "context_length": card.context,
            "max_completion_tokens": card.max_output,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": supported_parameters(card),
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{card.name}/endpoints"},
    }


def _architecture(can: Capabilities) -> dict[str, Any]:
    taken = ["text", *(["image"] if can.images else []), *(["file"] if can.documents else [])]
    given = "text" if can.text else "image" if can.painting else "embeddings"
    return {
        "modality": f"{'+'.join(taken)}->{given}",
        "input_modalities": taken,
        "output_modalities": [given],
        "tokenizer": "Other",
        "instruct_type": None,
    }


def _pricing(price: Price) -> dict[str, str]:
    prices = {
        "prompt": price.prompt,
        "completion": price.completion,
        "request": Decimal(0),
        "image": Decimal(0),
        "web_search": Decimal(0),
        "internal_reasoning": Decimal(0),
        "input_cache_read": price.cache_read,
        "input_cache_write": price.cache_write,
        "input_cache_write_1h": price.cache_write_1h,
    }
    return {name: _plain(value) for name, value in prices.items() if value is not None}


def _plain(value: Decimal) -> str:
    """Without an exponent, which some clients do not read."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
