"""Core errors as the OpenAI API reports them: status, type, code, envelope.

Rule: what another layer worded is said in OpenAI's words where clients look for them (unknown model, prompt too
long); `param` alone carries the path, since OpenAI's own messages name the field themselves.
"""

import re
from typing import Any

import orjson

from haiga.core.errors import (
    Busy,
    Cancelled,
    Dead,
    Denied,
    Exhausted,
    Failed,
    Flagged,
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
    (Flagged, 400, "image_generation_user_error", "moderation_blocked"),  # elsewhere an answer says so
    (Denied, 403, "invalid_request_error", None),
    (Limited, 429, "requests", "rate_limit_exceeded"),
    (Exhausted, 429, "insufficient_quota", "insufficient_quota"),
    (Busy, 503, "server_error", "overloaded"),
    (Dead, 500, "server_error", None),
    (Failed, 500, "server_error", None),
    (Cancelled, 499, "server_error", None),
    (HaigaError, 500, "server_error", None),
)
TOO_LONG = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum")
NO_ROOM = "input length and `max_tokens` exceed context limit"
TOO_BIG = "context_length_exceeded"
UNKNOWN_MODEL = "model: "
# Fields by the names that services/inference gives them.
PARAMS = {"output_config.format": "response_format"}


def kind(error: HaigaError) -> tuple[int, str, str | None]:
    """HTTP status, the API's error type and code."""
    if isinstance(error, Denied) and error.unauthenticated:
        return 401, "invalid_request_error", error.code or "invalid_api_key"
    status, name, code = next(row[1:] for row in KINDS if isinstance(error, row[0]))
    name = error.of if isinstance(error, Limited) else name
    return status, name, error.code or _worded_code(error) or code


def envelope(error: HaigaError) -> dict[str, Any]:
    """The error body, also the data of a stream's last frame after a failure."""
    _, name, code = kind(error)
    return {"error": {"message": _message(error), "type": name, "param": _param(error, code), "code": code}}


def write_error(error: HaigaError, status: int | None = None) -> ErrorReply:
    """The HTTP answer; `status` overrides the class's own (405 for a method that a route does not have)."""
    return ErrorReply(status or kind(error)[0], orjson.dumps(envelope(error)), retry_headers(error))


def _worded_code(error: HaigaError) -> str | None:
    """The code of an error whose message says which one it is."""
    if isinstance(error, NotFound) and error.message.startswith(UNKNOWN_MODEL):
        return "model_not_found"
    if TOO_LONG.search(error.message) or error.message.startswith(NO_ROOM):
        return TOO_BIG
    return None


def _param(error: HaigaError, code: str | None) -> str | None:
    if error.field is None:
        return "messages" if code == TOO_BIG else None
    return PARAMS.get(error.field, error.field)


def _message(error: HaigaError) -> str:
    if isinstance(error, Denied) and error.unauthenticated:
        return (
            "Incorrect API key provided. You need to provide a key of this server in an Authorization header using "
            "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
    if isinstance(error, NotFound) and error.message.startswith(UNKNOWN_MODEL):
        name = error.message.removeprefix(UNKNOWN_MODEL)
        return f"The model `{name}` does not exist or you do not have access to it."
    if match := TOO_LONG.search(error.message):
        return (
            f"This model's maximum context length is {match[2]} tokens for a prompt. However, your messages resulted "
            f"in {match[1]} tokens. Please reduce the length of the messages."
        )
    return error.message
