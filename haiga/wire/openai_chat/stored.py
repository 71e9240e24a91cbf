"""Kept chat completions as the API shows, lists and changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import Field

from haiga.core.chats import KeptChat
from haiga.wire.body import read_object
from haiga.wire.openai_body import Shape, read_shape

Json: TypeAlias = Mapping[str, Any]
MetadataParam: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class ChatUpdateBody(Shape):
    """The body of POST /v1/chat/completions/{id}: what is kept with the answer is all that can change."""

    metadata: MetadataParam | None


def read_update(body: bytes, chat: KeptChat) -> KeptChat:
    """The chat with the metadata that the body gives it. Raises Invalid."""
    shape = read_shape(ChatUpdateBody, read_object(body))
    return replace(chat, metadata=shape.metadata or {})


def write_kept(chat: KeptChat) -> bytes:
    return orjson.dumps(_shown(chat))


def write_kept_list(chats: Sequence[KeptChat], more: bool) -> bytes:
    return _list([_shown(chat) for chat in chats], more)


def write_deleted(id: str) -> bytes:
    return orjson.dumps({"object": "chat.completion.deleted", "id": id, "deleted": True})


def write_messages(chat: KeptChat, limit: int, after: str | None, newest_first: bool) -> bytes:
    """A page of the messages that the chat answers; `after` is the id of the last one before the page."""
    messages = [_message(f"{chat.id}-{i}", message) for i, message in enumerate(chat.messages)]
    ordered = messages[::-1] if newest_first else messages
    seen = next((i + 1 for i, message in enumerate(ordered) if message["id"] == after), 0)
    return _list(ordered[seen : seen + limit], seen + limit < len(ordered))


def _shown(chat: KeptChat) -> Json:
    return {**chat.body, "metadata": chat.metadata}


def _message(id: str, message: Json) -> Json:
    """Parts are shown beside the content, which then is null."""
    content = message.get("content")
    parts = {"content": None, "content_parts": content} if isinstance(content, list) else {"content_parts": None}
    return {"id": id, "name": None, "refusal": None, **message, **parts}


def _list(data: Sequence[Json], more: bool) -> bytes:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": more})
