"""The usage and cost reports of the Admin API: queries to questions, totals to buckets.

Rule: every bucket of the span is there, one with nothing in it too. The default workspace has no id in a report.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import orjson

from haiga.core.access import DEFAULT, Workspace
from haiga.core.errors import Invalid, Unsupported
from haiga.core.limits import DOLLAR
from haiga.core.records import Question, Total

Pairs: TypeAlias = Sequence[tuple[str, str]]
WIDTHS = {"1d": (86400, 7, 31), "1h": (3600, 24, 168), "1m": (60, 60, 1440)}  # seconds, buckets by default and at most
USAGE_GROUPS = {"api_key_id": "key", "workspace_id": "workspace", "model": "model", "service_tier": "tier"}
UNGROUPED = ("context_window", "inference_geo", "speed", "account_id", "service_account_id")  # always null here
FILTERS = {"api_key_ids": "key", "workspace_ids": "workspace", "models": "model", "service_tiers": "tier"}
UNFILTERED = ("context_window", "inference_geos", "speeds", "account_ids", "service_account_ids")
CENTS = 100
KINDS = {
    "uncached_input_tokens": ("input", "Input Tokens"),
    "cache_creation.ephemeral_5m_input_tokens": ("creation_5m", "Input Tokens, Cache Write (5m)"),
    "cache_creation.ephemeral_1h_input_tokens": ("creation_1h", "Input Tokens, Cache Write (1h)"),
    "cache_read_input_tokens": ("cache_read", "Input Tokens, Cache Read"),
    "output_tokens": ("output", "Output Tokens"),
}


@dataclass(frozen=True, slots=True)
class Report:
    """A page of a report: what is asked of the records, in buckets of `width` seconds, and where the next page begins,
    if there is one. `groups` are as the API names them."""

    question: Question
    width: int
    groups: tuple[str, ...]
    next_start: int | None


def read_usage_report(query: Pairs, workspaces: Sequence[Workspace], now: float) -> Report:
    """Raises Invalid and Unsupported."""
    width = _one(query, "bucket_width") or "1d"
    if width not in WIDTHS:
        raise Invalid(f"Input should be {', '.join(map(repr, WIDTHS))}", field="bucket_width")
    groups = _groups(query, (*USAGE_GROUPS, *UNGROUPED))
    by = tuple(USAGE_GROUPS[group] for group in groups if group in USAGE_GROUPS)
    return _report(query, groups, by, _only(query, workspaces), WIDTHS[width], now)


def read_cost_report(query: Pairs, now: float) -> Report:
    """Raises Invalid."""
    if (_one(query, "bucket_width") or "1d") != "1d":
        raise Invalid("Input should be '1d'", field="bucket_width")
    groups = _groups(query, ("workspace_id", "description"))
    by = {"workspace_id": ("workspace",), "description": ("model", "tier")}
    return _report(query, groups, tuple(name for group in groups for name in by[group]), {}, WIDTHS["1d"], now)


def write_usage_report(report: Report, totals: Sequence[Total], workspaces: Sequence[Workspace]) -> bytes:
    ids = _ids(workspaces)
    return _written(report, totals, lambda total: [_usage(_grouped(report, total), total, ids)])


def write_cost_report(report: Report, totals: Sequence[Total], workspaces: Sequence[Workspace]) -> bytes:
    ids = _ids(workspaces)
    return _written(report, totals, lambda total: _costs(_grouped(report, total), total, ids))


# --- queries ---


def _report(
    query: Pairs,
    groups: tuple[str, ...],
    by: tuple[str, ...],
    only: Mapping[str, tuple[str, ...]],
    width: tuple[int, int, int],
    now: float,
) -> Report:
    seconds, default, most = width
    limit = _limit(query, default, most)
    page = _one(query, "page")
    start = _time(query, "starting_at") if page is None else _page(page)
    if start is None:
        raise Invalid("Field required", field="starting_at")
    end = _time(query, "ending_at")
    since = start // seconds * seconds
    until = end // seconds * seconds if end is not None else int(now) // seconds * seconds + seconds
    if until <= since:
        raise Invalid("must be after starting_at by a bucket at least", field="ending_at")
    cut = min(until, since + limit * seconds)
    return Report(Question(since, cut, seconds, by, only), seconds, groups, cut if cut < until else None)


def _only(query: Pairs, workspaces: Sequence[Workspace]) -> Mapping[str, tuple[str, ...]]:
    for name in UNFILTERED:
        if _all(query, name):
            raise Unsupported("this server keeps no record of it", field=name)
    found = {field: _all(query, name) for name, field in FILTERS.items() if _all(query, name)}
    if "workspace" in found:
        names = {each.id: each.name for each in workspaces}
        found["workspace"] = tuple(names.get(id, id) for id in found["workspace"])
    return found


def _groups(query: Pairs, known: Sequence[str]) -> tuple[str, ...]:
    groups = tuple(dict.fromkeys(_all(query, "group_by")))
    for group in groups:
        if group not in known:
            raise Invalid(f"Input should be {', '.join(map(repr, known))}", field="group_by")
    return groups


def _all(query: Pairs, name: str) -> tuple[str, ...]:
    """A list is written with or without brackets."""
    return tuple(value for key, value in query if key in (name, f"{name}[]"))


def _one(query: Pairs, name: str) -> str | None:
    return next((value for key, value in query if key == name), None)


def _limit(query: Pairs, default: int, most: int) -> int:
    text = _one(query, "limit")
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        raise Invalid(f"Input should be a whole number from 1 to {most}", field="limit")
    return int(text)


def _time(query: Pairs, name: str) -> int | None:
    text = _one(query, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        seconds = -1
    if seconds < 0:
        raise Invalid("Input should be a valid datetime, as in 2026-11-22T00:00:00Z", field=name)
    return seconds


def _page(token: str) -> int:
    try:
        start = int(base64.urlsafe_b64decode(token.removeprefix("page_").encode()))
        if 0 <= start < 2**40:
            return start
    except (ValueError, binascii.Error):
        pass
    raise Invalid("is no page of this report", field="page")


# --- answers ---


def _written(report: Report, totals: Iterable[Total], results: Callable[[Total], list[dict[str, Any]]]) -> bytes:
    found: dict[int, list[dict[str, Any]]] = {}
    for total in totals:
        found.setdefault(total.start, []).extend(results(total))
    starts = range(report.question.since, report.question.until, report.width)
    data = [
        {"starting_at": _told(start), "ending_at": _told(start + report.width), "results": found.get(start, [])}
        for start in starts
    ]
    following = report.next_start
    token = None if following is None else f"page_{base64.urlsafe_b64encode(str(following).encode()).decode()}"
    return orjson.dumps({"data": data, "has_more": token is not None, "next_page": token})


def _grouped(report: Report, total: Total) -> dict[str, str | None]:
    return dict(zip(report.question.by, total.group, strict=True))


def _usage(group: Mapping[str, str | None], total: Total, ids: Mapping[str, str | None]) -> dict[str, Any]:
    used = total.usage
    return {
        "uncached_input_tokens": used.input,
        "cache_creation": {
            "ephemeral_1h_input_tokens": used.creation_1h,
            "ephemeral_5m_input_tokens": used.creation_5m,
        },
        "cache_read_input_tokens": used.cache_read,
        "output_tokens": used.output,
        "server_tool_use": {"web_search_requests": 0},
        "api_key_id": group.get("key"),
        "workspace_id": ids.get(group.get("workspace") or DEFAULT),
        "model": group.get("model"),
        "service_tier": group.get("tier"),
        **dict.fromkeys(UNGROUPED),
    }


def _costs(group: Mapping[str, str | None], total: Total, ids: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """One row, or one for each kind of token when costs are wanted by description."""
    same = {"currency": "USD", "workspace_id": ids.get(group.get("workspace") or DEFAULT), "context_window": None}
    if "model" not in group:
        nothing = dict.fromkeys(("description", "cost_type", "model", "service_tier", "token_type", "inference_geo"))
        return [{**same, "amount": _cents(total.cost.total), **nothing}]
    return [
        {
            **same,
            "amount": _cents(cost),
            "description": f"{group['model']} Usage - {called}{', Batch' if group['tier'] == 'batch' else ''}",
            "cost_type": "tokens",
            "model": group["model"],
            "service_tier": group["tier"],
            "token_type": kind,
            "inference_geo": None,
        }
        for kind, (field, called) in KINDS.items()
        if (cost := getattr(total.cost, field))
    ]


def _cents(billionths: int) -> str:
    return f"{Decimal(billionths) * CENTS / DOLLAR:f}"


def _ids(workspaces: Sequence[Workspace]) -> Mapping[str, str | None]:
    return {each.name: each.id for each in workspaces if each.name != DEFAULT}


def _told(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
