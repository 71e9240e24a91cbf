"""What the log says of each request: one line when it has ended.

Rule: nothing of what was said and no key stands in it, only the key's id; what a client chose (paths, names of models)
is cut to a length.
"""

import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from haiga.core.records import SUCCEEDED, Record

LONGEST = 255  # characters of a path
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Asked:
    """One HTTP request, as far as it has come, from a client at `address`. `status` is None while no answer has begun;
    `outcome` is "succeeded" or the name of what went wrong."""

    id: str
    method: str
    path: str
    address: str | None = None
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    key: str | None = None
    workspace: str | None = None
    model: str | None = None
    input: int = 0
    output: int = 0
    outcome: str | None = None

    def said(self) -> dict[str, Any]:
        """What its line says, in order; `duration_ms` is whole milliseconds."""
        named = {"key": self.key, "workspace": self.workspace, "model": self.model}
        used = {"input_tokens": self.input, "output_tokens": self.output} if self.model else {}
        return {
            "method": self.method,
            "path": self.path[:LONGEST],
            "status": self.status,
            "duration_ms": round((time.monotonic() - self.began) * 1000),
            **{name: value for name, value in named.items() if value is not None},
            **used,
            "outcome": self.outcome or ("cancelled" if self.status is None else SUCCEEDED),
        }


# which request this is about, for whoever writes to the log while it runs
asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


def add(record: Record) -> None:
    """A question to a model has ended; it is counted with the HTTP request that it came in, if any."""
    here = asked.get()
    if here is not None:
        here.model, here.outcome = record.model, record.outcome
        here.input += record.usage.prompt
        here.output += record.usage.output


def ended(request: Asked) -> None:
    """Write its line."""
    if log.isEnabledFor(logging.INFO):
        log.info("request", extra={"said": request.said()})
