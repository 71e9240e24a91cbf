"""Keys as they are made and changed over HTTP: the fields of the Admin API, and what this server's keys have besides.

Rule: what a change does not name stays; null lifts it.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from haiga.core.access import ApiKey, Family, Role
from haiga.core.errors import Invalid
from haiga.core.limits import DOLLAR, Limits
from haiga.wire.anthropic.base import Shape
from haiga.wire.body import read_object, read_shape
from haiga.wire.moderation_policies import NAME

MOST = 10**9  # of anything a minute, and US dollars a month
KINDS = {
    "requests_per_minute": "requests",
    "input_tokens_per_minute": "input_tokens",
    "output_tokens_per_minute": "output_tokens",
    "concurrent_requests": "concurrent",
}
BUDGET = "monthly_budget_usd"
Count = Annotated[int, Field(ge=1, le=MOST)]
Pattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^,\s]+$")]
Patterns = Annotated[list[Pattern], Field(max_length=100)]


class KeyLimits(Shape):
    """What a key may use; null is no limit."""

    requests_per_minute: Count | None = None
    input_tokens_per_minute: Count | None = None
    output_tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    monthly_budget_usd: Annotated[float, Field(gt=0, le=MOST)] | None = None


class KeyFields(Shape):
    """`models` are patterns of names, `tags` those that a model must have one of; empty or null is all. `policy` names
    the moderation policy that the key is held to, null for the server's."""

    role: Role | None = None
    families: list[Family] | None = None
    models: Patterns | None = None
    tags: Patterns | None = None
    expires_at: str | None = None
    limits: KeyLimits | None = None
    policy: Annotated[str, Field(pattern=NAME)] | None = None


class KeyBody(KeyFields):
    """The body of POST /v1/organizations/api_keys. `workspace_id` is a workspace's id or name."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    workspace_id: str | None = None


class KeyChange(KeyFields):
    """The body of POST /v1/organizations/api_keys/{id}."""

    name: Annotated[str, Field(max_length=255)] | None = None
    status: Literal["active", "inactive", "archived"] | None = None


class RotationBody(Shape):
    """The body of POST /v1/organizations/api_keys/{id}/rotate."""

    grace_seconds: Annotated[int, Field(ge=0, le=10**8)] = 86400


def read_key(body: bytes) -> KeyBody:
    """Raises Invalid."""
    return read_shape(KeyBody, read_object(body))


def read_key_change(body: bytes) -> KeyChange:
    """Raises Invalid."""
    return read_shape(KeyChange, read_object(body))


def read_rotation(body: bytes) -> float:
    """Seconds of grace. Raises Invalid."""
    return read_shape(RotationBody, read_object(body or b"{}")).grace_seconds


def new_key(asked: KeyFields, now: float) -> dict[str, Any]:
    """What `create_key` takes of a body. Raises Invalid."""
    changed = changed_key(asked, ApiKey("", "", "", "", "", False, 0), now)
    lifetime = None if changed.expires_at is None else changed.expires_at - int(now)
    told = {"admin": changed.admin, "readonly": changed.readonly, "lifetime": lifetime}
    return told | {"scope": changed.scope, "limits": changed.limits, "policy": changed.policy}


def changed_key(asked: KeyFields, key: ApiKey, now: float) -> ApiKey:
    """The key as the body wants it. Raises Invalid."""
    named, role = asked.model_fields_set, asked.role or key.role
    lists = {name: tuple(getattr(asked, name) or ()) for name in ("families", "models", "tags") if name in named}
    return replace(
        key,
        admin=role == "admin",
        readonly=role == "readonly",
        scope=replace(key.scope, **lists),
        limits=_limits(asked.limits, key.limits) if "limits" in named else key.limits,
        expires_at=read_end(asked.expires_at, now) if "expires_at" in named else key.expires_at,
        policy=asked.policy if "policy" in named else key.policy,
    )


def key_fields(key: ApiKey) -> dict[str, Any]:
    """What the Admin API has no name for."""
    limits = {name: getattr(key.limits, kind) for name, kind in KINDS.items()}
    budget = key.limits.budget
    limits[BUDGET] = None if budget is None else budget / DOLLAR
    scope = key.scope
    lists = {"families": list(scope.families), "models": list(scope.models), "tags": list(scope.tags)}
    return {"role": key.role, **lists, "limits": limits, "policy": key.policy}


def _limits(asked: KeyLimits | None, limits: Limits) -> Limits:
    if asked is None:
        return Limits()
    changed: dict[str, int | None] = {
        KINDS[name]: getattr(asked, name) for name in asked.model_fields_set & KINDS.keys()
    }
    if BUDGET in asked.model_fields_set:
        changed["budget"] = budget_of(asked.monthly_budget_usd)
    return replace(limits, **changed)


def budget_of(dollars: float | None) -> int | None:
    """A budget in billionths of a US dollar."""
    return None if dollars is None else max(1, int(Decimal(str(dollars)) * DOLLAR))


def read_end(text: str | None, now: float) -> int | None:
    """The unix second that a field `expires_at` says. Raises Invalid."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("expected a time such as 2027-01-31T00:00:00Z", field="expires_at") from None
    try:
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (OverflowError, ValueError):
        raise Invalid("this time is out of reach", field="expires_at") from None
    if seconds <= now:
        raise Invalid("must be in the future", field="expires_at")
    return seconds
