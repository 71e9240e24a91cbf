"""Core errors as A1111's API reports them.

Rule: `detail` is what clients show, so it says everything, the field first.
"""

from typing import Any

import orjson

from haiga.core.errors import (
    Busy,
    Cancelled,
    Denied,
    Exhausted,
    HaigaError,
    Invalid,
    Limited,
    NotFound,
    TooLarge,
    Unsupported,
)
from haiga.wire.reply import ErrorReply, retry_headers

# First match wins, so a class stands before its bases.
STATUSES: tuple[tuple[type[HaigaError], int], ...] = (
    (TooLarge, 413),
    (Invalid, 422),
    (Unsupported, 422),
    (NotFound, 404),
    (Denied, 403),
    (Limited, 429),
    (Exhausted, 429),
    (Busy, 503),
    (Cancelled, 499),
    (HaigaError, 500),
)


def write_error(error: HaigaError, status: int | None = None) -> ErrorReply:
    """The HTTP answer; `status` overrides the class's own. Without a credential browsers and clients are told that
    HTTP Basic will do."""
    nobody = isinstance(error, Denied) and error.unauthenticated
    status = status or (401 if nobody else next(code for kind, code in STATUSES if isinstance(error, kind)))
    detail = "Incorrect username or password" if nobody else str(error)
    body: dict[str, Any] = {"error": type(error).__name__, "detail": detail, "body": "", "errors": detail}
    headers = retry_headers(error) | ({"www-authenticate": 'Basic realm="haiga"'} if nobody else {})
    return ErrorReply(status, orjson.dumps(body), headers)
