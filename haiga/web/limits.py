"""Where a caller stands with its limits, told with every answer in the words of the API that it asked."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from starlette.types import Scope

from haiga.core.access import Caller
from haiga.core.limits import Standing
from haiga.web.families import family
from haiga.wire.limits import anthropic_limits, openai_limits, openrouter_limits

Stands: TypeAlias = Callable[[Caller], Sequence[Standing]]


def limit_headers(stands: Stands, scope: Scope, status: int) -> Mapping[str, str]:
    """The headers of an answer with this status; for a caller without limits those of the upstream that answered.
    OpenRouter tells only whom it refuses."""
    caller: Caller | None = scope["state"].get("caller")
    if caller is None:
        return {}
    by = caller.origin.heard.by
    standings = stands(caller) if caller.owners else by.standing if by else ()
    spoken = family(scope)
    if spoken == "anthropic":
        return anthropic_limits(standings)
    if spoken == "openai":
        return openai_limits(standings, time.time())
    return openrouter_limits(standings) if status == 429 else {}


def provider_headers(scope: Scope) -> dict[str, str]:
    """Which upstream answered, and the id that it gave the request."""
    caller: Caller | None = scope["state"].get("caller")
    by = caller.origin.heard.by if caller else None
    if by is None or not by.provider:
        return {}
    return {"haiga-provider": by.provider, **({"haiga-provider-request-id": by.request_id} if by.request_id else {})}
