"""One answer under way, and what has been said of it so far."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from haiga.core.access import Caller
from haiga.core.errors import HaigaError
from haiga.core.generation import Event, TextRequest
from haiga.core.responses import Item
from haiga.services.choices import Done
from haiga.wire.sse import frame


class Transcript(Protocol):
    """Core events to the events and the response that an API makes of them. Every event has its number."""

    status: str

    def response(self) -> dict[str, Any]:
        """The response as it stands."""

    def open(self) -> list[dict[str, Any]]:
        """The first events."""

    def write(self, event: Event) -> list[dict[str, Any]]:
        """What an event is told as."""

    def fail(self, error: HaigaError) -> list[dict[str, Any]]:
        """The last events after a failure."""

    def cancel(self) -> list[dict[str, Any]]:
        """The last events after a cancellation."""


@dataclass(frozen=True, slots=True)
class Step:
    """A core event and the frames that tell of it."""

    event: Event | None
    frames: Sequence[bytes]


@dataclass(slots=True)
class Run:
    """An answer to be made, and its frames so far, by sequence number.

    `kept`: whether it is stored. `followed`: whether anyone reads its frames, now or later. `done` is
    told the whole answer before its end is.
    """

    id: str
    caller: Caller
    request: TextRequest
    transcript: Transcript
    input: Sequence[Item]
    created_at: int
    kept: bool = True
    background: bool = False
    followed: bool = False
    previous: str | None = None
    conversation: str | None = None
    done: Done | None = None
    frames: list[bytes] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None
    over: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, events: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """The events' frames, kept for whoever follows or comes back."""
        if not self.followed:
            return []
        frames = [frame(event) for event in events]
        if self.kept:
            self.frames.extend(frames)
            self._wake()
        return frames

    def end(self) -> None:
        self.over = True
        self._wake()

    async def follow(self, start: int) -> AsyncGenerator[bytes, None]:
        """The frames from number `start` on, as they come."""
        while True:
            while start < len(self.frames):
                start += 1
                yield self.frames[start - 1]
            if self.over:
                return
            await self._changed.wait()

    def _wake(self) -> None:
        """Everyone who waits has an event of their own to wait for next."""
        self._changed.set()
        self._changed = asyncio.Event()
