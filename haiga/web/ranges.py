"""The Range header (RFC 9110, section 14): one range of bytes. Anything else is answered whole, as the RFC allows."""

import re

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def asked_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The range's start and stop (exclusive) in a file of `size` bytes; None when all of it is to be sent."""
    match = RANGE.fullmatch((header or "").strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    return (start, stop) if start < stop else None
