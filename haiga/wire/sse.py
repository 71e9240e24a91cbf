"""Server-sent events as bytes. Rule: a named frame's name is its data's `type`, since some clients read only the one
and some only the other."""

from collections.abc import Mapping
from typing import Any

import orjson


def frame(data: Mapping[str, Any]) -> bytes:
    """One event named after `data["type"]`."""
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), orjson.dumps(data))


def comment(text: str) -> bytes:
    """A line that every client ignores: bytes to keep a quiet connection open."""
    return b": %b\n\n" % text.replace("\n", " ").encode()
