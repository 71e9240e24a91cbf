"""API keys and workspaces as the Admin API shows and changes them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from haiga.core.access import DEFAULT, ApiKey, Workspace
from haiga.core.errors import Invalid
from haiga.wire.anthropic.base import Shape
from haiga.wire.anthropic.key_bodies import key_fields
from haiga.wire.body import read_object, read_shape

COLOR = "#6C5BB9"
ANYWHERE = {"allowed_inference_geos": "unrestricted", "default_inference_geo": "global", "workspace_geo": "us"}
ORGANIZATION = {"id": "haiga", "name": "haiga", "type": "organization"}
T = TypeVar("T", ApiKey, Workspace)


class WorkspaceBody(Shape):
    """The body of POST /v1/organizations/workspaces, and of its change."""

    name: str


class AdminAnswer(BaseModel):
    """An object of the Admin API."""

    id: str
    type: str


class AdminList(BaseModel):
    data: list[AdminAnswer]
    has_more: bool
    first_id: str | None
    last_id: str | None


class BucketsAnswer(BaseModel):
    """A page of a report."""

    data: list[dict[str, Any]]
    has_more: bool
    next_page: str | None


def read_workspace(body: bytes) -> WorkspaceBody:
    return read_shape(WorkspaceBody, read_object(body))


def status(key: ApiKey, now: float) -> str:
    if key.revoked_at is not None:
        return "archived"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "inactive" if key.paused else "active"


def key_body(key: ApiKey, workspaces: Sequence[Workspace], now: float) -> dict[str, Any]:
    own = next((each.id for each in workspaces if each.name == key.workspace), key.workspace)
    return {
        "id": key.id,
        "type": "api_key",
        "name": key.name,
        "status": status(key, now),
        "partial_key_hint": key.hint,
        "created_at": _time(key.created_at),
        "created_by": None,
        "expires_at": None if key.expires_at is None else _time(key.expires_at),
        "principal": None,
        "scope": {"type": "workspace", "workspace_id": own},
        "workspace_id": None if key.workspace == DEFAULT else own,
        **key_fields(key),
    }


def workspace_body(workspace: Workspace) -> dict[str, Any]:
    return {
        "id": workspace.id,
        "type": "workspace",
        "name": workspace.name,
        "created_at": _time(workspace.created_at),
        "archived_at": None if workspace.archived_at is None else _time(workspace.archived_at),
        "compartment_id": workspace.id,
        "data_residency": ANYWHERE,
        "display_color": COLOR,
        "external_key_id": None,
        "tags": {},
        "user_profile_id": None,
    }


def deleted_body(id: str, rows: Mapping[str, int]) -> dict[str, Any]:
    """A workspace that is gone, and how many rows of which table went with it."""
    return {"id": id, "type": "workspace_deleted", "rows": {table: count for table, count in rows.items() if count}}


def write(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body)


def write_list(
    items: Sequence[T], shown: Callable[[T], dict[str, Any]], limit: int, after: str | None, before: str | None
) -> bytes:
    """A page of the items. Raises Invalid for a cursor that names none."""
    ids = [each.id for each in items]
    start, end = 0, len(items)
    for field, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in ids:
            raise Invalid("nothing in this list has this id", field=field)
    if after is not None:
        start = ids.index(after) + 1
    if before is not None:
        end = ids.index(before)
    page = items[start:end][:limit] if before is None or after is not None else items[max(start, end - limit) : end]
    more = end - start > limit
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return orjson.dumps({"data": [shown(each) for each in page], "has_more": more, "first_id": first, "last_id": last})


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
