"""Reads the bodies of the Conversations API. Rule: an item is checked before it is kept, as if it were asked of a
model; calls and their outputs may come in different requests."""

from collections.abc import Callable, Mapping
from typing import Any

from haiga.core.errors import Unsupported
from haiga.core.responses import Item
from haiga.wire.body import read_object
from haiga.wire.openai_body import read_shape
from haiga.wire.openai_responses import items, rules, shapes
from haiga.wire.openai_responses.read import kept_items


def read_conversation(body: bytes, new_id: Callable[[str], str]) -> tuple[Mapping[str, str], tuple[Item, ...]]:
    """The body of POST /v1/conversations, none at all included: metadata and items. Raises Invalid and Unsupported."""
    raw = read_object(body or b"{}")
    shape = read_shape(shapes.ConversationBody, raw)
    return shape.metadata or {}, _items(shape.items or [], raw, new_id)


def read_change(body: bytes) -> Mapping[str, str]:
    """The body of POST /v1/conversations/{id}: its metadata."""
    return read_shape(shapes.ConversationChange, read_object(body)).metadata or {}


def read_items(body: bytes, new_id: Callable[[str], str]) -> tuple[Item, ...]:
    """The body of POST /v1/conversations/{id}/items. Raises Invalid and Unsupported."""
    raw = read_object(body)
    return _items(read_shape(shapes.ConversationItems, raw).items, raw, new_id)


def _items(given: list[items.Known], raw: dict[str, Any], new_id: Callable[[str], str]) -> tuple[Item, ...]:
    rules.check_items(given, "items")
    for i, item in enumerate(given):
        if isinstance(item, items.ItemReference):
            raise Unsupported(
                "Items of type 'item_reference' are not supported in a conversation.",
                field=f"items[{i}]",
                code="unsupported_value",
            )
    return kept_items(raw.get("items") or (), new_id)
