"""What a server and the process of a model say to each other: frames of JSON over one socket.

Rule: a frame is a 4-byte big-endian length and that many bytes of JSON; one that says `bytes` is followed by so many.
The server sends commands, each an object with `do`; the process sends reports, each an object with `is`.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any

import orjson

from haiga.core import errors
from haiga.core.errors import Failed, HaigaError

HEADER = Struct(">I")


def frame(value: Mapping[str, Any], data: bytes = b"") -> bytes:
    """One frame with what follows it; integer keys become strings."""
    fields = {**value, "bytes": len(data)} if data else value
    body = orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS)
    return HEADER.pack(len(body)) + body + data


def alive() -> bytes:
    """A sign of life."""
    return frame({"is": "alive"})


def refused(error: HaigaError) -> bytes:
    """The model cannot be loaded, for a reason that starting again will not change."""
    return frame({"is": "refused", "error": write_error(error)})


def write_error(error: HaigaError) -> dict[str, Any]:
    return {"class": type(error).__name__, "message": error.message, "field": error.field}


def read_error(fields: Mapping[str, Any]) -> HaigaError:
    """The error of that class; one that needs more than a message and a field becomes Failed."""
    kind = getattr(errors, fields["class"])
    if kind in (errors.Invalid, errors.TooLarge, errors.Unsupported, errors.Dead, errors.Cancelled, errors.Busy):
        error: HaigaError = kind(fields["message"])
        error.field = fields["field"]
        return error
    return Failed(fields["message"], field=fields["field"])
