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
    """The headers of an answer with this status; none for a caller without limits. OpenRouter tells only whom it
    refuses."""
    caller: Caller | None = scope["state"].get("caller")
    if caller is None or not caller.owners:
        return {}
    spoken = family(scope)
    if spoken == "anthropic":
        return anthropic_limits(stands(caller))
    if spoken == "openai":
        return openai_limits(stands(caller), time.time())
    return openrouter_limits(stands(caller)) if status == 429 else {}
