"""Core errors as the Anthropic API reports them: status, type, envelope."""

from typing import Any

import orjson

from haiga.core.errors import (
    Busy,
    Cancelled,
    Dead,
    Denied,
    Exhausted,
    Failed,
    HaigaError,
    Invalid,
    Limited,
    NotFound,
    Oversized,
    TooLarge,
    Unsupported,
)
from haiga.wire.reply import ErrorReply, retry_headers

# First match wins, so a class stands before its bases.
KINDS: tuple[tuple[type[HaigaError], int, str], ...] = (
    (TooLarge, 413, "request_too_large"),
    (Invalid, 400, "invalid_request_error"),
    (Unsupported, 400, "invalid_request_error"),
    (NotFound, 404, "not_found_error"),
    (Denied, 403, "permission_error"),
    (Limited, 429, "rate_limit_error"),
    (Exhausted, 402, "billing_error"),
    (Busy, 529, "overloaded_error"),
    (Dead, 500, "api_error"),
    (Failed, 500, "api_error"),
    (Cancelled, 499, "api_error"),
    (HaigaError, 500, "api_error"),
)


def kind(error: HaigaError) -> tuple[int, str]:
    """HTTP status and the API's error type."""
    if isinstance(error, Denied) and error.unauthenticated:
        return 401, "authentication_error"
    return next((status, name) for cls, status, name in KINDS if isinstance(error, cls))


def envelope(error: HaigaError, request_id: str) -> dict[str, Any]:
    """The error body, also the data of a stream's `error` event."""
    inner: dict[str, Any] = {"type": kind(error)[1], "message": str(error)}
    if error.code:
        inner["details"] = {"error_code": error.code}
    if isinstance(error, Oversized):
        inner["details"] |= {"max_side_length_pixels": error.side, "paths": list(error.paths)}
    return {"type": "error", "error": inner, "request_id": request_id}


def write_error(error: HaigaError, request_id: str, status: int | None = None) -> ErrorReply:
    """The HTTP answer; `status` overrides the class's own (405 for a method that a route does not have)."""
    return ErrorReply(status or kind(error)[0], orjson.dumps(envelope(error, request_id)), retry_headers(error))
