"""Answers and conversations that are kept between requests.

Rule: an item is JSON as its API writes it, so that what was sent comes back as it was; only its id has a meaning here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Item: TypeAlias = Mapping[str, Any]
LIVE = frozenset({"queued", "in_progress"})


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """An answer as it is kept, under way or done. `body` is the object that the API shows, with its output; times are
    unix seconds.

    `previous` is the response that this one continues, `conversation` the one it belongs to. `frames` are what a
    stream of it says, by sequence number; None where no stream can be had. Whoever makes it is there until `lease` at
    least.
    """

    id: str
    workspace: str
    status: str
    background: bool
    created_at: int
    expires_at: int
    body: Item
    previous: str | None = None
    conversation: str | None = None
    frames: tuple[bytes, ...] | None = None
    lease: int | None = None

    @property
    def live(self) -> bool:
        return self.status in LIVE

    def lost(self, now: float) -> bool:
        """Whether it is under way and whoever made it is gone."""
        return self.live and (self.lease is None or self.lease <= now)


@dataclass(frozen=True, slots=True)
class KeptConversation:
    """A conversation that responses are added to; its items are kept apart. Times are unix seconds."""

    id: str
    workspace: str
    created_at: int
    expires_at: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class History:
    """What was said up to and with a response: the items of every response before it and its own, oldest first.
    `missing` names the response where the chain breaks, because it is deleted, expired or was never there;
    `conversation` is what the first response of the chain was made in."""

    items: Sequence[Item]
    missing: str | None = None
    conversation: str | None = None
