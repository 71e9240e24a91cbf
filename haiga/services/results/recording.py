"""An answer's events to bytes and back.

Rule: what comes back is what was recorded, with the pieces of a block joined; an answer with anything else in it than
what a model writes (results of tools that the server ran, summaries) is not recorded.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from haiga.core.edits import Cleared
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    CitationDelta,
    Echo,
    Event,
    Finished,
    InputDelta,
    Progress,
    PromptToken,
    Quoted,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
)
from haiga.core.messages import RedactedThinking, Text, Thinking, ToolUse

EVENTS = (
    Started,
    Echo,
    BlockStarted,
    TextDelta,
    CitationDelta,
    ThinkingDelta,
    SignatureDelta,
    InputDelta,
    BlockStopped,
    Finished,
)
PARTS = (Text, Thinking, RedactedThinking, ToolUse, Usage, TokenLogprob, PromptToken, Cleared)
KINDS = {kind.__name__: kind for kind in (*EVENTS, *PARTS)}
KIND, JSON = "is", "json"


class Recording:
    """The events of one answer, as they pass."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def add(self, event: Event) -> None:
        if isinstance(event, Progress | Quoted):
            return
        if isinstance(event, Started):
            event = Started(event.usage)
        joined = _joined(self._events[-1], event) if self._events else None
        if joined is None:
            self._events.append(event)
        else:
            self._events[-1] = joined

    def bytes(self) -> bytes | None:
        """None for an answer that cannot be recorded."""
        try:
            return zlib.compress(json.dumps([_coded(event) for event in self._events]).encode(), 1)
        except TypeError:
            return None


def replay(recorded: bytes) -> list[Event]:
    """The events, marked as reused. Raises ValueError, TypeError, KeyError and zlib.error for other bytes."""
    return [_marked(_decoded(item)) for item in json.loads(zlib.decompress(recorded))]


def _marked(event: Any) -> Event:
    if isinstance(event, Started | Finished):
        return replace(event, usage=replace(event.usage, reused=True))
    if not isinstance(event, EVENTS):
        raise TypeError(type(event).__name__)
    return event


def _joined(last: Event, event: Event) -> Event | None:
    """Two pieces of one block as one piece."""
    match last, event:
        case TextDelta(index=i), TextDelta(index=j) if i == j:
            return TextDelta(i, last.text + event.text, last.logprobs + event.logprobs)
        case ThinkingDelta(index=i), ThinkingDelta(index=j) if i == j:
            return ThinkingDelta(i, last.thinking + event.thinking)
        case InputDelta(index=i), InputDelta(index=j) if i == j:
            return InputDelta(i, last.partial_json + event.partial_json)
    return None


def _coded(value: Any) -> Any:
    """As JSON; raises TypeError for what is not in KINDS."""
    if isinstance(value, Mapping):
        return {JSON: value}
    if isinstance(value, tuple | list):
        return [_coded(item) for item in value]
    if not is_dataclass(value):
        return value
    kind = type(value).__name__
    if kind not in KINDS:
        raise TypeError(kind)
    return {KIND: kind} | {field.name: _coded(getattr(value, field.name)) for field in fields(value)}


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item) for item in value)
    if not isinstance(value, dict):
        return value
    if JSON in value:
        return value[JSON]
    return KINDS[value[KIND]](**{name: _decoded(item) for name, item in value.items() if name != KIND})
