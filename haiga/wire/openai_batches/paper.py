"""Input files to lines, and results to lines of files.

Rule: what is wrong with the form of any line fails the whole file, with the number of the line; what is wrong with a
line's body is that line's result.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from haiga.core.errors import Invalid
from haiga.core.jobs import Batch, Problem, Result
from haiga.wire.body import read_object
from haiga.wire.openai_body import missing, wrong_type

MAX_REQUESTS = 100_000
LONGEST = 32 << 20  # bytes of a line
LONGEST_ID = 512  # characters
ENOUGH = 100  # problems that are told
GIVEN_UP = {
    "canceled": ("batch_cancelled", "This request could not be executed before the batch was cancelled."),
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
}


class LineReader:
    """A file of requests to `endpoint` that arrives in pieces."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._rest = bytearray()
        self._number = 0
        self._ids: set[str] = set()
        self._models: set[str] = set()
        self._problems: list[Problem] = []
        self.hopeless = False

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with the file so far."""
        return self._problems

    @property
    def model(self) -> str | None:
        """The model that all lines name."""
        return next(iter(self._models)) if len(self._models) == 1 else None

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The requests that a piece completes, as custom id and body."""
        if self.hopeless:
            return []
        self._rest += piece
        *lines, rest = bytes(self._rest).split(b"\n") if b"\n" in piece else (self._rest,)
        self._rest = bytearray(rest)
        found = self._read(lines)
        if len(self._rest) > LONGEST:
            self._number += 1
            self._complain(Invalid(f"The line has more than {LONGEST} bytes.", code="line_too_long"))
            self.hopeless = True
        return found

    def close(self) -> list[tuple[str, bytes]]:
        """The last line, when nothing follows it."""
        found = self._read([bytes(self._rest)])
        if not self._ids and not self._problems:
            self._problems.append(Problem("empty_file", "The input file has no requests."))
        return found

    def _read(self, lines: Sequence[bytes]) -> list[tuple[str, bytes]]:
        found = []
        for line in lines:
            self._number += 1
            if not line.strip() or self.hopeless:
                continue
            try:
                found.append(self._request(line))
            except Invalid as error:
                self._complain(error)
        return found

    def _request(self, line: bytes) -> tuple[str, bytes]:
        if len(self._ids) == MAX_REQUESTS:
            self.hopeless = True
            raise Invalid(f"The input file has more than {MAX_REQUESTS} requests.", code="too_many_tasks")
        value = _object(line)
        custom_id, body = _checked(value, self._endpoint)
        if custom_id in self._ids:
            raise Invalid(
                f"The custom_id '{custom_id}' is there more than once.", field="custom_id", code="duplicate_custom_id"
            )
        self._ids.add(custom_id)
        self._models.add(str(body.get("model")))
        return custom_id, orjson.dumps(body)

    def _complain(self, error: Invalid) -> None:
        self._problems.append(Problem(error.code or "invalid_value", error.message, self._number, error.field))
        self.hopeless = self.hopeless or len(self._problems) >= ENOUGH


def _object(line: bytes) -> dict[str, Any]:
    try:
        return read_object(line)
    except Invalid:
        raise Invalid("This line is not parseable as valid JSON.", code="invalid_json_line") from None


def _checked(value: dict[str, Any], endpoint: str) -> tuple[str, dict[str, Any]]:
    """The custom id and the body of a line that is what it should be."""
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if name not in value:
            raise missing(name)
        if not isinstance(value[name], kind):
            raise wrong_type(name, "a string" if kind is str else "an object", value[name])
    custom_id: str = value["custom_id"]
    if value["method"] != "POST":
        raise Invalid("The method of every request must be 'POST'.", field="method", code="invalid_method")
    if value["url"] != endpoint:
        told = f"The URL of the request is '{value['url'][:100]}', but the batch is to '{endpoint}'."
        raise Invalid(told, field="url", code="mismatched_url")
    if not 0 < len(custom_id) <= LONGEST_ID or "\0" in custom_id:
        told = f"'custom_id' must have 1 to {LONGEST_ID} characters."
        raise Invalid(told, field="custom_id", code="invalid_custom_id")
    return custom_id, value["body"]


class BatchPaper:
    """The forms of both kinds of files."""

    def reader(self, endpoint: str) -> LineReader:
        """For the lines of an input file."""
        return LineReader(endpoint)

    def result(self, batch: Batch, result: Result) -> bytes:
        """A line of a file of results; the same every time that it is written."""
        if given_up := GIVEN_UP.get(result.state):
            told = _given_up(*given_up)
        else:
            told = _reused(result.result) if result.reused else result.result
        id = f"batch_req_{batch.id.removeprefix('batch_')}{result.position:06x}"
        return b'{"id":"%b","custom_id":%b,%b\n' % (id.encode(), orjson.dumps(result.custom_id), told[1:])


def _given_up(code: str, message: str) -> bytes:
    return orjson.dumps({"response": None, "error": {"code": code, "message": message}})


def _reused(result: bytes) -> bytes:
    """A result that was computed for another line says so in its usage."""
    value = orjson.loads(result)
    value["response"]["body"]["usage"]["haiga_reused"] = True
    return orjson.dumps(value)
