"""The audit log as OpenAI's administration API shows it: GET /v1/organization/audit_logs.

Rule: what that API has a name for bears it (a workspace is its project); a line's own fields stand beside.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from haiga.core.audit import Actor, AuditFilter, AuditLine
from haiga.core.errors import Invalid

LIMIT, MOST = 20, 100
BOUND = re.compile(r"effective_at\[(gt|gte|lt|lte)\]")
ID = re.compile(r"audit_log-(\d{1,18})")
OURS, THEIRS = "workspace.", "project."


class AuditLogs(BaseModel):
    """A page of the log."""

    object: str
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


def read_audit_query(items: Iterable[tuple[str, str]]) -> AuditFilter:
    """The lines wanted. Raises Invalid."""
    found: dict[str, Any] = {"limit": LIMIT}
    many: dict[str, list[str]] = {"event_types": [], "actor_ids": [], "resource_ids": []}
    for name, text in items:
        if (plain := name.removesuffix("[]")) in many:
            many[plain].append(text)
        elif bound := BOUND.fullmatch(name):
            found |= _bound(bound[1], _number(text, name))
        elif name == "limit":
            found["limit"] = _number(text, name, 1, MOST)
        elif name in ("after", "before"):
            # the list is newest first: what comes after a line is older
            found["before" if name == "after" else "after"] = _line(text, name)
    actions = tuple(_ours(each) for each in many["event_types"])
    actors, subjects = tuple(many["actor_ids"]), tuple(many["resource_ids"])
    # a page that ends before a line has those next to it
    forward = "after" in found and "before" not in found
    return AuditFilter(**found, actions=actions, actors=actors, subjects=subjects, forward=forward)


def write_audit_page(lines: Sequence[AuditLine], more: bool) -> bytes:
    """A page of lines, newest first."""
    page = [_written(line) for line in lines]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return orjson.dumps({"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": more})


def _written(line: AuditLine) -> dict[str, Any]:
    deed = line.deed
    kind = _theirs(deed.action)
    return {
        "object": "organization.audit_log",
        "id": f"audit_log-{line.number}",
        "type": kind,
        "effective_at": deed.at,
        "actor": _actor(deed.actor),
        "project": None,
        kind: {"id": deed.subject, "data": deed.details},
        "request_id": deed.actor.request,
        "digest": line.digest,
    }


def _actor(actor: Actor) -> Mapping[str, Any]:
    if actor.kind == "key":
        holder = {"id": actor.id, "type": "service_account", "service_account": {"id": actor.id}}
        return {"type": "api_key", "api_key": holder, "ip_address": actor.address}
    user = {"id": actor.id or actor.kind, "email": None}
    return {"type": "session", "session": {"user": user, "ip_address": actor.address}}


def _theirs(action: str) -> str:
    return THEIRS + action.removeprefix(OURS) if action.startswith(OURS) else action


def _ours(kind: str) -> str:
    return OURS + kind.removeprefix(THEIRS) if kind.startswith(THEIRS) else kind


def _bound(which: str, seconds: int) -> dict[str, int]:
    if which.startswith("g"):
        return {"since": seconds + (which == "gt")}
    return {"until": seconds + (which == "lte")}


def _number(text: str, field: str, least: int = 0, most: int = 10**12) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        raise Invalid(f"expected a whole number from {least} to {most}", field=field)
    return int(text)


def _line(text: str, field: str) -> int:
    if not (found := ID.fullmatch(text)):
        raise Invalid("expected the id of a line of the audit log", field=field)
    return int(found[1])
