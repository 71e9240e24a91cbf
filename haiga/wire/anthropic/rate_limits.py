"""Limits of workspaces as the Admin API shows and changes them: one group, of all models together.

Rule: the organization itself has no limits here, so that a workspace inherits none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import orjson
from pydantic import BaseModel, Field

from haiga.core.access import Workspace
from haiga.core.errors import Unsupported
from haiga.core.limits import Kind, Limits
from haiga.wire.anthropic.base import Shape
from haiga.wire.body import read_object, read_shape

ID = "rl_all"
GROUP = {"id": "rlg_all", "type": "model_group", "display_name": "All models"}
KINDS: dict[str, Kind] = {
    "requests_per_minute": "requests",
    "input_tokens_per_minute_cache_aware": "input_tokens",
    "output_tokens_per_minute": "output_tokens",
}
Limiter = Literal[
    "requests_per_minute",
    "input_tokens_per_minute_cache_aware",
    "output_tokens_per_minute",
    "input_tokens_per_minute",
    "tokens_per_minute",
    "tokens_per_day",
    "tool_uses_per_second",
    "fast_itpmca",
    "fast_otpm",
]


class LimitValue(Shape):
    type: Limiter
    value: int | None = Field(ge=1, le=10**9)


class RateLimitChange(Shape):
    """The body of POST /v1/organizations/workspaces/{id}/rate_limits/{limit}. A value of null lifts a limit."""

    limits: list[LimitValue] = Field(max_length=len(get_args(Limiter)))


class RateLimitsAnswer(BaseModel):
    data: list[dict[str, Any]]
    next_page: None


class RateLimitAnswer(BaseModel):
    type: Literal["workspace_rate_limit"]
    rate_limit_id: str
    workspace_id: str
    limits: list[dict[str, Any]]


def read_rate_limits(body: bytes, limits: Limits) -> Limits:
    """The limits with what the body says. Raises Invalid and Unsupported."""
    asked = read_shape(RateLimitChange, read_object(body)).limits
    for at, each in enumerate(asked):
        if each.type not in KINDS:
            known = ", ".join(KINDS)
            raise Unsupported(f"this server limits {known}", field=f"limits.{at}.type")
    return replace(limits, **{KINDS[each.type]: each.value for each in asked})


def write_organization_limits(models: Sequence[str]) -> bytes:
    entry = {"id": ID, "type": "rate_limit", "group": GROUP, "limits": [], "models": list(models)}
    return orjson.dumps({"data": [entry], "next_page": None})


def write_workspace_limits(workspace: Workspace, models: Sequence[str]) -> bytes:
    entries = [_entry(workspace, models)] if any(each["value"] for each in _values(workspace.limits)) else []
    return orjson.dumps({"data": entries, "next_page": None})


def write_workspace_limit(workspace: Workspace, models: Sequence[str]) -> bytes:
    return orjson.dumps(_entry(workspace, models))


def _entry(workspace: Workspace, models: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "workspace_rate_limit",
        "rate_limit_id": ID,
        "workspace_id": workspace.id,
        "group": GROUP,
        "limits": _values(workspace.limits),
        "models": list(models),
    }


def _values(limits: Limits) -> list[dict[str, Any]]:
    return [
        {"type": name, "value": value, "org_limit": None, "source": {"type": "workspace"}}
        for name, kind in KINDS.items()
        if (value := getattr(limits, kind)) is not None
    ]
