"""Core errors as OpenRouter reports them: `{"error": {"code", "message", "metadata"}}`, the code being the status."""

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
from haiga.wire import openai_errors
from haiga.wire.openrouter import PROVIDER
from haiga.wire.reply import ErrorReply, retry_headers

# First match wins, so a class stands before its bases.
STATUS: tuple[tuple[type[HaigaError], int], ...] = (
    (TooLarge, 413),
    (Invalid, 400),
    (Unsupported, 400),
    (NotFound, 404),
    (Denied, 403),
    (Limited, 429),
    (Exhausted, 402),
    (Busy, 529),
    (Dead, 502),
    (Failed, 502),
    (Cancelled, 499),
    (HaigaError, 500),
)


def status(error: HaigaError) -> int:
    if isinstance(error, Denied) and error.unauthenticated:
        return 401
    if _unknown_model(error):
        return 400
    return next(status for kind, status in STATUS if isinstance(error, kind))


def inner(error: HaigaError, code: int | None = None) -> dict[str, Any]:
    """The error object itself, as a stream's chunk carries it."""
    body: dict[str, Any] = {"code": code or status(error), "message": _message(error)}
    if metadata := _metadata(error):
        body["metadata"] = metadata
    return body


def envelope(error: HaigaError, code: int | None = None) -> dict[str, Any]:
    return {"error": inner(error, code)}


def write_error(error: HaigaError, code: int | None = None) -> ErrorReply:
    """The HTTP answer; `code` overrides the class's own status."""
    return ErrorReply(code or status(error), orjson.dumps(envelope(error, code)), retry_headers(error))


def _unknown_model(error: HaigaError) -> bool:
    return isinstance(error, NotFound) and error.message.startswith(openai_errors.UNKNOWN_MODEL)


def _message(error: HaigaError) -> str:
    if _unknown_model(error):
        return f"{error.message.removeprefix(openai_errors.UNKNOWN_MODEL)} is not a valid model ID"
    if isinstance(error, Denied) and error.unauthenticated:
        return "No auth credentials found"
    message: str = openai_errors.envelope(error)["error"]["message"]
    return message


def _metadata(error: HaigaError) -> dict[str, Any]:
    if isinstance(error, Dead | Failed):
        return {"provider_name": PROVIDER, "raw": error.message}
    if isinstance(error, Flagged):
        flagged = {"reasons": list(error.reasons), "flagged_input": error.excerpt}
        return flagged | {"provider_name": PROVIDER, "model_slug": error.model}
    return {"param": error.field} if error.field else {}
