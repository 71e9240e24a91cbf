"""Why a model did not answer, as far as another one might."""

from haiga.core.errors import (
    Busy,
    Dead,
    Denied,
    Failed,
    HaigaError,
    Invalid,
    Limited,
    NotFound,
    TooLarge,
    Unsupported,
)
from haiga.core.routes import Reason

CONTEXT = "context_length_exceeded"
TOO_LONG = ("prompt is too long", "input length and `max_tokens` exceed context limit")
MODERATED = "content_filter"
TIMEOUT = "upstream_timeout"
THEIRS = "upstream_limit"  # a limit of this server's at an upstream, none of the caller's own


def reason_of(error: HaigaError) -> Reason | None:
    """None where another model would say the same, or may not be asked: the request is wrong, the caller is over a
    limit of its own, or has gone."""
    match error:
        case TooLarge():
            return "context"
        case Invalid(code=code, message=message):
            return "context" if code == CONTEXT or message.startswith(TOO_LONG) else None
        case Unsupported():
            return "capability"
        case Denied(code=code):
            return "moderation" if code == MODERATED else None
        case Limited(code=code):
            return "rate_limit" if code == THEIRS else None
        case Busy():
            return "rate_limit"
        case Failed(code=code):
            return "timeout" if code == TIMEOUT else "error"
        case Dead() | NotFound():
            return "error"
    return None
