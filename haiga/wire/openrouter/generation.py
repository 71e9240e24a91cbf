"""An answered request as OpenRouter remembers it: `{"data": {…}}`, every key always there, null for what is not known
or does not exist here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from haiga.core.records import Generation
from haiga.wire.openai_chat.write import FINISH
from haiga.wire.openrouter import PROVIDER
from haiga.wire.openrouter.routing import AUTO

# What does not exist here: searches, media, presets, other providers.
ABSENT: dict[str, Any] = {
    "app_id": None,
    "data_region": "global",
    "is_byok": False,
    "moderation_latency": None,
    "native_tokens_completion_images": 0,
    "num_fetches": None,
    "num_input_audio_prompt": None,
    "num_media_completion": None,
    "num_media_prompt": None,
    "num_search_results": None,
    "preset_id": None,
    "provider_responses": None,
    "response_cache_source_id": None,
    "service_tier": None,
    "upstream_inference_cost": None,
    "web_search_engine": None,
}


def write_generation(generation: Generation) -> bytes:
    return orjson.dumps({"data": ABSENT | _told(generation) | _counted(generation)})


def _told(generation: Generation) -> dict[str, Any]:
    return {
        "id": generation.id,
        "upstream_id": generation.provider_id or generation.id,
        "request_id": generation.request_id,
        "model": generation.model,
        "provider_name": generation.provider or PROVIDER,
        "created_at": datetime.fromtimestamp(generation.created_at, UTC).isoformat(),
        "streamed": generation.streamed,
        "cancelled": generation.cancelled,
        "finish_reason": FINISH[generation.stop] if generation.stop else None,
        "native_finish_reason": generation.stop,
        "api_type": "completions",
        "router": generation.asked_for if generation.asked_for in AUTO else None,
        "origin": generation.referer or "",
        "http_referer": generation.referer,
        "user_agent": generation.agent,
        "external_user": generation.user,
        "session_id": generation.session,
    }


def _counted(generation: Generation) -> dict[str, Any]:
    usage, cost = generation.usage, float(generation.cost)
    return {
        "latency": None if generation.latency is None else round(generation.latency * 1000),
        "generation_time": round(generation.duration * 1000),
        "tokens_prompt": usage.prompt,
        "tokens_completion": usage.output,
        "native_tokens_prompt": usage.prompt,
        "native_tokens_completion": usage.output,
        "native_tokens_reasoning": usage.thinking,
        "native_tokens_cached": usage.cache_read,
        "total_cost": cost,
        "usage": cost,
        "cache_discount": float(generation.discount) or None,
    }


def periods(now: float) -> dict[str, float]:
    """When the spans began over which a key's spending is told: ever, and the current UTC day, week and month."""
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - timedelta(days=day.weekday())
    starts = {"usage_daily": day, "usage_weekly": week, "usage_monthly": day.replace(day=1)}
    return {"usage": 0.0, **{name: start.timestamp() for name, start in starts.items()}}


def write_key(
    label: str, spent: Mapping[str, Decimal], budget: Decimal | None, *, admin: bool, requests: int | None
) -> bytes:
    """What a key has spent, by `periods`, and what it may: `budget` in US dollars a month, `requests` a minute."""
    spending = {name: float(cost) for name, cost in spent.items()}
    foreign = dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0)
    return orjson.dumps(
        {
            "data": {
                "label": label,
                "limit": None if budget is None else float(budget),
                "limit_remaining": None if budget is None else float(max(Decimal(0), budget - spent["usage_monthly"])),
                "limit_reset": None if budget is None else "monthly",
                "include_byok_in_limit": False,
                **spending,
                **foreign,
                "is_free_tier": False,
                "is_management_key": admin,
                "is_provisioning_key": admin,
                "creator_user_id": None,
                "expires_at": None,
                "rate_limit": {"requests": -1 if requests is None else requests, "interval": "60s", "note": ""},
            }
        }
    )


def write_credits(spent: Decimal, left: Decimal | None) -> bytes:
    """US dollars spent ever, and as many as may be spent in all: null without a budget, since nothing is prepaid."""
    total = None if left is None else float(spent + left)
    return orjson.dumps({"data": {"total_credits": total, "total_usage": float(spent)}})


def write_providers(others: Sequence[str]) -> bytes:
    """This server, and the `others`, each once."""
    links = dict.fromkeys(("privacy_policy_url", "terms_of_service_url", "status_page_url"))
    names = dict.fromkeys((PROVIDER, *filter(None, others)))
    return orjson.dumps({"data": [{"name": name, "slug": name.lower(), **links} for name in names]})
