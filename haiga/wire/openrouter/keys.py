"""API keys as OpenRouter's /keys makes, lists and changes them.

Rule: a `limit` is US dollars a calendar month, since that is what a budget of this server is; another reset is refused
by name.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from haiga.core.access import ApiKey
from haiga.core.errors import Unsupported
from haiga.core.limits import DOLLAR
from haiga.wire.body import read_object, read_shape
from haiga.wire.openai_body import Shape

Dollars = Annotated[float, Field(ge=0, le=10**9)]
Reset = Literal["daily", "weekly", "monthly"]
FOREIGN = dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0)


class NewKeyBody(Shape):
    """The body of POST /api/v1/keys."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    limit: Dollars | None = None
    limit_reset: Reset | None = None
    expires_at: str | None = None
    workspace_id: str | None = None


class KeyPatch(Shape):
    """The body of PATCH /api/v1/keys/{hash}: what is not named stays."""

    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    disabled: bool | None = None
    limit: Dollars | None = None
    limit_reset: Reset | None = None


def read_new_key(body: bytes) -> NewKeyBody:
    """Raises Invalid and Unsupported."""
    asked = read_shape(NewKeyBody, read_object(body))
    _require_monthly(asked.limit, asked.limit_reset)
    return asked


def read_key_patch(body: bytes, budgeted: bool) -> KeyPatch:
    """`budgeted`: the key has a limit already, which is a month's. Raises Invalid and Unsupported."""
    asked = read_shape(KeyPatch, read_object(body))
    kept = "monthly" if budgeted and "limit_reset" not in asked.model_fields_set else asked.limit_reset
    _require_monthly(asked.limit, kept)
    return asked


def write_new_key(key: ApiKey, secret: str, spent: Mapping[str, Decimal]) -> bytes:
    return orjson.dumps({"data": _key(key, spent), "key": secret})


def write_one_key(key: ApiKey, spent: Mapping[str, Decimal]) -> bytes:
    return orjson.dumps({"data": _key(key, spent)})


def write_keys(keys: Sequence[tuple[ApiKey, Mapping[str, Decimal]]]) -> bytes:
    return orjson.dumps({"data": [_key(key, spent) for key, spent in keys]})


def write_deleted_key() -> bytes:
    return orjson.dumps({"deleted": True})


def _require_monthly(limit: float | None, reset: str | None) -> None:
    if limit is not None and reset != "monthly":
        raise Unsupported("budgets of this server are for a calendar month: say 'monthly'", field="limit_reset")
    if limit == 0:
        raise Unsupported("a budget is above 0: disable the key instead", field="limit")


def _key(key: ApiKey, spent: Mapping[str, Decimal]) -> dict[str, Any]:
    budget = None if key.limits.budget is None else Decimal(key.limits.budget) / DOLLAR
    left = None if budget is None else float(max(Decimal(0), budget - spent["usage_monthly"]))
    return {
        "hash": key.id,
        "name": key.name,
        "label": key.hint,
        "disabled": key.paused or key.revoked_at is not None,
        "limit": None if budget is None else float(budget),
        "limit_remaining": left,
        "limit_reset": None if budget is None else "monthly",
        "include_byok_in_limit": False,
        **{name: float(cost) for name, cost in spent.items()},
        **FOREIGN,
        "created_at": _time(key.created_at),
        "updated_at": None,
        "expires_at": None if key.expires_at is None else _time(key.expires_at),
        "creator_user_id": None,
        "workspace_id": key.workspace,
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
