"""Core errors as the OpenAI API reports them: status, type, code, envelope."""

from typing import Any

import orjson

from haiga.core.errors import (
    Busy,
    Cancelled,
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
from haiga.wire.reply import ErrorReply, retry_headers

# First match wins, so a class stands before its bases. The last column is the code where the error carries none.
KINDS: tuple[tuple[type[HaigaError], int, str, str | None], ...] = (
    (TooLarge, 413, "invalid_request_error", "request_too_large"),
    (Invalid, 400, "invalid_request_error", None),
    (Unsupported, 400, "invalid_request_error", "unsupported_value"),
    (NotFound, 404, "invalid_request_error", "not_found"),
    (Denied, 403, "invalid_request_error", None),
    (Limited, 429, "rate_limit_error", "rate_limit_exceeded"),
    (Busy, 503, "server_error", "overloaded"),
    (Dead, 500, "server_error", None),
    (Failed, 500, "server_error", None),
    (Cancelled, 499, "server_error", None),
)


def kind(error: HaigaError) -> tuple[int, str, str | None]:
    """HTTP status, the API's error type and code."""
    if isinstance(error, Denied) and error.unauthenticated:
        return 401, "invalid_request_error", error.code or "invalid_api_key"
    status, name, code = next(row[1:] for row in KINDS if isinstance(error, row[0]))
    return status, name, error.code or code


def envelope(error: HaigaError) -> dict[str, Any]:
    _, name, code = kind(error)
    return {"error": {"message": str(error), "type": name, "param": error.field, "code": code}}


def write_error(error: HaigaError, status: int | None = None) -> ErrorReply:
    """The HTTP answer; `status` overrides the class's own (405 for a method that a route does not have)."""
    return ErrorReply(status or kind(error)[0], orjson.dumps(envelope(error)), retry_headers(error))
