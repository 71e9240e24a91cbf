"""One tool that is run here, and what comes of a call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from haiga.core.messages import CacheMark

OWN = "haiga"  # the server name under which the operator's own tools appear
TIMEOUT = 60.0
LIMIT = 256 << 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model is told; `is_error` says that the tool could not do it."""

    text: str
    is_error: bool = False


Call: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool of `server`. `call` takes the arguments; whatever it raises becomes an error for the model. A call may
    take `timeout` seconds, its result is cut after `limit` bytes."""

    server: str
    name: str
    call: Call
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    timeout: float = TIMEOUT
    limit: int = LIMIT
    cache: CacheMark | None = None
