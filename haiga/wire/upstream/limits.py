"""Where this server stands with another one's limits, by the headers of an answer.

Rule: what cannot be read is left out; names of headers are in lower case.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from haiga.core.limits import Kind, Standing

ANTHROPIC: tuple[tuple[Kind, str], ...] = (
    ("requests", "requests"),
    ("input_tokens", "input-tokens"),
    ("output_tokens", "output-tokens"),
)
OPENAI: tuple[tuple[Kind, str], ...] = (("requests", "requests"), ("input_tokens", "tokens"))
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_standing(headers: Mapping[str, str], now: float) -> tuple[Standing, ...]:
    """`now` is in unix seconds, for resets that are told as a span of time."""
    return (
        *_told(headers, "anthropic-ratelimit-{}-{}", ANTHROPIC, now),
        *_told(headers, "x-ratelimit-{1}-{0}", OPENAI, now),
    )


def _told(headers: Mapping[str, str], form: str, kinds: tuple[tuple[Kind, str], ...], now: float) -> Iterator[Standing]:
    for kind, name in kinds:
        limit, left, reset = (headers.get(form.format(name, what), "") for what in ("limit", "remaining", "reset"))
        at = _moment(reset, now)
        if limit.isdecimal() and left.isdecimal() and at is not None and len(limit + left) < 32:
            yield Standing(kind, int(limit), int(left), at)


def _moment(text: str, now: float) -> float | None:
    """A time as RFC 3339 has it, or a span such as 6m0s."""
    parts = PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return now + sum(float(number) * UNITS[unit] for number, unit in parts)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
