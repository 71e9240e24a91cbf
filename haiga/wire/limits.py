"""The headers in which each API tells a caller where it stands with its limits."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from haiga.core.limits import Standing

SAID = ("limit", "remaining", "reset")
LIMIT_HEADERS = (
    *(f"anthropic-ratelimit-{of}-{w}" for of in ("requests", "tokens", "input-tokens", "output-tokens") for w in SAID),
    *(f"x-ratelimit-{w}-{of}" for of in ("requests", "tokens") for w in SAID),
    *(f"x-ratelimit-{w}" for w in SAID),
)


def anthropic_limits(standings: Sequence[Standing]) -> dict[str, str]:
    """`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`; nothing is rounded
    but the reset, up to the second."""
    headers: dict[str, str] = {}
    for name, each in _named(standings, {"input_tokens": "input-tokens", "output_tokens": "output-tokens"}):
        start = f"anthropic-ratelimit-{name}"
        reset = datetime.fromtimestamp(math.ceil(each.reset), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = {"limit": str(each.limit), "remaining": str(each.remaining), "reset": reset}
        headers |= {f"{start}-{what}": value for what, value in told.items()}
    return headers


def openai_limits(standings: Sequence[Standing], now: float) -> dict[str, str]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; the reset is how long that takes, as in 6m0.5s."""
    headers: dict[str, str] = {}
    for name, each in _named(standings, {}):
        told = {"limit": str(each.limit), "remaining": str(each.remaining), "reset": _duration(each.reset - now)}
        headers |= {f"x-ratelimit-{what}-{name}": value for what, value in told.items()}
    return headers


def openrouter_limits(standings: Sequence[Standing]) -> dict[str, str]:
    """`x-ratelimit-{limit,remaining,reset}` of what is nearest to its limit; the reset in unix milliseconds."""
    if not standings:
        return {}
    nearest = min(standings, key=lambda each: each.remaining / each.limit)
    told = {"limit": nearest.limit, "remaining": nearest.remaining, "reset": math.ceil(nearest.reset * 1000)}
    return {f"x-ratelimit-{what}": str(value) for what, value in told.items()}


def _named(standings: Sequence[Standing], others: Mapping[str, str]) -> Iterable[tuple[str, Standing]]:
    """Requests, all tokens together, and what `others` names."""
    tokens = [each for each in standings if each.kind != "requests"]
    for each in standings:
        if each.kind == "requests":
            yield "requests", each
    if tokens:
        limit, remaining = sum(each.limit for each in tokens), sum(each.remaining for each in tokens)
        yield "tokens", Standing("input_tokens", limit, remaining, max(each.reset for each in tokens))
    for each in tokens:
        if each.kind in others:
            yield others[each.kind], each


def _duration(seconds: float) -> str:
    """In Go's notation, as OpenAI writes it; rounded up to the millisecond."""
    whole = timedelta(milliseconds=math.ceil(max(0.0, seconds) * 1000))
    minutes, rest = divmod(whole, timedelta(minutes=1))
    if not minutes and rest < timedelta(seconds=1):
        return f"{rest // timedelta(milliseconds=1)}ms"
    return (f"{minutes}m" if minutes else "") + f"{rest.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"
