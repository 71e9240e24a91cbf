"""The log on standard error: one line for each thing, as text for people or as JSON for machines.

Rule: a line names the request that it is about, and nothing that a client chose can begin a line of its own.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from haiga.services.requests import asked

PLAIN = re.compile(r"[\w./:@%*+~-]+", re.ASCII)


@contextmanager
def log_on_stderr(form: str, level: str) -> Iterator[None]:
    """Write what is at least `level` (debug, info, warning or error) to standard error; of other libraries, warnings
    and errors."""
    handler = logging.StreamHandler(sys.stderr)
    root, ours = logging.getLogger(), logging.getLogger("haiga")
    before = ours.level
    handler.setFormatter(TextLines())
    root.addHandler(handler)
    change_log(form, level)
    try:
        yield
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)


def change_log(form: str, level: str) -> None:
    """Write in another form, or other levels, from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextLines | JsonLines):
            handler.setFormatter(JsonLines() if form == "json" else TextLines())
            handler.setLevel(level.upper())
    logging.getLogger("haiga").setLevel(level.upper())


class TextLines(logging.Formatter):
    """Time, level, message, fields as name=value; a traceback follows on lines of its own, indented."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_value(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {_on_one_line(record.getMessage())} {fields}".rstrip()
        traceback = _traceback(self, record)
        return line + "".join(f"\n  {each}" for each in traceback.splitlines())


class JsonLines(logging.Formatter):
    """One JSON object for each record, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        line |= {"message": record.getMessage(), **_fields(record)}
        traceback = _traceback(self, record)
        return json.dumps(line | ({"traceback": traceback} if traceback else {}), separators=(",", ":"))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    request = asked.get()
    return ({} if request is None else {"request_id": request.id}) | getattr(record, "said", {})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _value(value: object) -> str:
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def _on_one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
