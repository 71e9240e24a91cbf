"""Writes responses and what is kept of them as the Responses API does.

Rule: ids, time and the model's name are arguments.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from haiga.core.errors import HaigaError, Invalid
from haiga.core.generation import StopReason, Usage
from haiga.core.responses import Item, KeptConversation
from haiga.wire.openai_errors import envelope, kind
from haiga.wire.openai_responses.codes import encode_summary
from haiga.wire.openai_responses.mcp import without_secrets
from haiga.wire.openai_responses.read import ResponseRequest
from haiga.wire.usage import reused

Json: TypeAlias = dict[str, Any]
CUT: Mapping[StopReason, str] = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}
# What a response says of its request, and what it says where the request said nothing.
ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}


def head(asked: ResponseRequest, *, id: str, created: int, model: str, dropped: Sequence[str] = ()) -> Json:
    """A response's fields that do not change while it is made. `dropped` are the ids of the items that truncation left
    out: a field of this server's own, there only when there are any."""
    echoed = {name: value if (value := asked.raw.get(name)) is not None else ECHOED[name] for name in ECHOED}
    echoed["tools"] = [without_secrets(tool) for tool in echoed["tools"]]
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "model": model,
        "conversation": {"id": asked.conversation} if asked.conversation else None,
        "reasoning": {"effort": None, "summary": None, **(asked.raw.get("reasoning") or {})},
        "service_tier": "default",
        "text": {"format": {"type": "text"}, "verbosity": "medium", **_given(asked.raw.get("text") or {})},
        **echoed,
        **({"truncated": {"dropped_items": list(dropped)}} if dropped else {}),
    }


def _given(fields: Mapping[str, Any]) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def usage_body(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.creation},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": usage.prompt + usage.output,
        **reused(usage),
    }


def error_body(error: HaigaError) -> Json:
    """A response's `error`."""
    said = envelope(error)["error"]
    return {"code": said["code"] or kind(error)[1], "message": said["message"]}


# --- what is kept ---


def write_body(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body)


def write_count(tokens: int) -> bytes:
    return orjson.dumps({"object": "response.input_tokens", "input_tokens": tokens})


def write_compaction(said: Sequence[Item], summary: str, usage: Usage, *, id: str, item: str, created: int) -> bytes:
    """What users said, and one item, of that id, that stands for everything."""
    users = [each for each in said if each["type"] == "message" and each.get("role") == "user"]
    made = {"id": item, "type": "compaction", "encrypted_content": encode_summary(summary)}
    body = {"id": id, "object": "response.compaction", "created_at": created, "output": [*users, made]}
    return orjson.dumps(body | {"usage": usage_body(usage)})


def write_deleted(id: str, what: str) -> bytes:
    return orjson.dumps({"id": id, "object": what, "deleted": True})


def write_conversation(conversation: KeptConversation) -> bytes:
    body = {"id": conversation.id, "object": "conversation", "created_at": conversation.created_at}
    return orjson.dumps(body | {"metadata": conversation.metadata})


def write_items(items: Sequence[Item], more: bool = False) -> bytes:
    """A page of items."""
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return orjson.dumps({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": more})


def page(items: Sequence[Item], *, after: str | None, limit: int, order: str) -> tuple[Sequence[Item], bool]:
    """The items of one page, and whether there are more after it. Raises Invalid when there is no item `after`."""
    listed = items if order == "asc" else items[::-1]
    start = 0
    if after is not None:
        start = next((i + 1 for i, item in enumerate(listed) if item["id"] == after), 0)
        if not start:
            raise Invalid(f"No item with id '{after[:64]}' found.", field="after", code="invalid_value")
    return listed[start : start + limit], start + limit < len(listed)
