"""Chat completions that are kept because their requests asked for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KeptChat:
    """`body` is the answer as the API shows it, `messages` what it answers, both as their API writes them; times are
    unix seconds."""

    id: str
    workspace: str
    model: str
    created_at: int
    expires_at: int
    metadata: Mapping[str, str]
    body: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ChatFilter:
    """Which of the kept chats are wanted: those after the one with the id `after`, with that model and at least that
    metadata, oldest first unless `newest_first`, at most `limit`."""

    limit: int = 20
    after: str | None = None
    newest_first: bool = False
    model: str | None = None
    metadata: Mapping[str, str] | None = None
