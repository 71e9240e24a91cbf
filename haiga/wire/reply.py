"""An HTTP answer as a value, for the web layer to send."""

import math
from dataclasses import dataclass, field

from haiga.core.errors import Busy, Dead, Exhausted, HaigaError, Limited


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """Status, JSON body and the headers that tell a client when to come back."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def retry_headers(error: HaigaError) -> dict[str, str]:
    """`retry-after` in whole seconds, rounded up: coming back early would fail again."""
    if isinstance(error, Limited | Busy):
        return {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    if isinstance(error, Dead | Exhausted):
        return {"x-should-retry": "true" if isinstance(error, Dead) else "false"}
    return {}
