"""The Models API: cards as the Anthropic API lists them, with its paging."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from haiga.core.errors import Invalid
from haiga.core.ports import Capabilities, ModelCard


def write_model(card: ModelCard) -> bytes:
    return orjson.dumps(_model(card))


def write_models(
    cards: Sequence[ModelCard], *, limit: int = 20, after_id: str | None = None, before_id: str | None = None
) -> bytes:
    """One page of at most `limit` cards: those right after `after_id`, else right before `before_id`, else the first.

    Raises Invalid when a cursor names no model.
    """
    page, more = list(cards), False
    if after_id is not None:
        page = page[_position(cards, "after_id", after_id) + 1 :]
    if before_id is not None:
        page = page[: max(0, _position(page, "before_id", before_id))]
    more = len(page) > limit
    page = page[-limit:] if before_id is not None and after_id is None else page[:limit]
    return orjson.dumps(
        {
            "data": [_model(card) for card in page],
            "has_more": more,
            "first_id": page[0].name if page else None,
            "last_id": page[-1].name if page else None,
        }
    )


def _position(cards: Sequence[ModelCard], field: str, name: str) -> int:
    for i, card in enumerate(cards):
        if card.name == name:
            return i
    raise Invalid("no model has this id", field=field)


def _model(card: ModelCard) -> dict[str, Any]:
    return {
        "type": "model",
        "id": card.name,
        "display_name": card.display_name,
        "created_at": datetime.fromtimestamp(card.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "max_input_tokens": card.context,
        "max_tokens": card.max_output,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": _capabilities(card.capabilities),
    }


def _capabilities(can: Capabilities) -> dict[str, Any]:
    """Every key that the API knows; what no model here can do is a plain no."""
    yes, no = {"supported": True}, {"supported": False}
    thinking = {"supported": can.thinking}
    return {
        "batch": yes,
        "citations": {"supported": can.documents},
        "code_execution": no,
        "context_management": {
            **yes,
            "clear_thinking_20251015": thinking,
            "clear_tool_uses_20250919": {"supported": can.tools},
            "compact_20260112": yes,
        },
        "effort": {**no, "low": no, "medium": no, "high": no, "xhigh": no, "max": no},
        "image_input": {"supported": can.images},
        "pdf_input": {"supported": can.documents},
        "server_tools": {**no, "web_search": no, "code_execution": no},
        "structured_outputs": {"supported": can.structured_output},
        "thinking": {
            **thinking,
            "types": {"enabled": thinking, "adaptive": thinking, "between_tools": thinking, "disabled": yes},
        },
    }
