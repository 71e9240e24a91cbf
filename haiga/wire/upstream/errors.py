"""What other servers answer when they fail, as core errors.

Rule: an error says what this server's caller can do. A key that is not accepted there, or is out of credit, is the
operator's matter: to the caller it is a failure. What is wrong with the request is told in the other server's words.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from haiga.core.errors import Busy, Denied, Failed, HaigaError, Invalid, Limited, NotFound, TooLarge

MOST_SAID = 2000  # characters of another server's message
LONGEST = 86_400.0  # seconds that anyone is told to wait
SOON = 1.0
CONTEXT = "context_length_exceeded"
MODERATED = "content_filter"
TIMEOUT = "upstream_timeout"
LIMIT = "upstream_limit"
TOO_LONG = re.compile(
    r"prompt is too long|context.{0,20}(length|window|limit)|maximum context|too many (input )?tokens"
    r"|exceed.{0,20}context",
    re.IGNORECASE,
)
# where a status is not told: in a stream, the error's own type
STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "rate_limit_exceeded": 429,
    "insufficient_quota": 402, "api_error": 500, "server_error": 500, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip


def read_error(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> HaigaError:
    """The error in an HTTP answer; a body that is none of the known forms is not repeated."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = {}
    return told_error(said if isinstance(said, dict) else {}, status, headers, provider)


def told_error(said: Mapping[str, Any], status: int | None, headers: Mapping[str, str], provider: str) -> HaigaError:
    """The error in an envelope: of an HTTP answer with this `status`, or of a stream, where there is none."""
    inner = said.get("error")
    inner = inner if isinstance(inner, dict) else {"message": inner or said.get("message") or said.get("detail")}
    message = str(inner.get("message") or "no reason was given")[:MOST_SAID]
    codes = {str(inner[name]) for name in ("code", "type") if inner.get(name) is not None}
    code = status or next((int(each) for each in codes if each.isdigit()), None)
    code = code or next((STATUS[each] for each in codes if each in STATUS), 500)
    return _error(code, message, codes, headers, provider, inner)


def _error(
    status: int, message: str, codes: set[str], headers: Mapping[str, str], provider: str, inner: Mapping[str, Any]
) -> HaigaError:
    if status in (400, 422, 413) and (CONTEXT in codes or TOO_LONG.search(message)):
        return Invalid(message, code=CONTEXT)
    if _moderated(status, codes, inner):
        return Denied(f"{provider}: {message}", code=MODERATED)
    if status == 413:
        return TooLarge(message)
    if status in (400, 405, 409, 422):
        return Invalid(message)
    if status == 404:
        return NotFound(f"{provider}: {message}")
    if status == 429 and "insufficient_quota" not in codes:
        return Limited(f"{provider}: {message}", retry_after=retry_after(headers) or SOON, code=LIMIT)
    if status in (503, 529):
        return Busy(f"{provider}: {message}", retry_after=retry_after(headers) or SOON)
    if status in (408, 504):
        return Failed(f"{provider} did not answer in time: {message}", code=TIMEOUT)
    if status in (401, 402, 403, 429):
        return Failed(f"{provider} does not serve this server's key: {message}", code="upstream_denied")
    return Failed(f"{provider} failed ({status}): {message}", code="upstream_failed")


def _moderated(status: int, codes: set[str], inner: Mapping[str, Any]) -> bool:
    metadata = inner.get("metadata")
    flagged = isinstance(metadata, dict) and ("reasons" in metadata or "flagged_input" in metadata)
    return status in (400, 403) and (flagged or bool(codes & {MODERATED, "content_policy_violation", "moderation"}))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: milliseconds beat seconds beat a date. Names of headers are in lower case."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (text := headers.get(name)) is None:
            continue
        try:
            return min(max(0.0, float(text) * unit), LONGEST)
        except ValueError:
            pass
        try:
            left = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
            return min(max(0.0, left), LONGEST)
        except (ValueError, TypeError):
            continue
    return None
