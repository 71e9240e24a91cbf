"""The two APIs that a file of requests may be for: how it is sent, looked at, and its results are fetched.

Rule: nothing is held whole; what the server says is wrong is raised in its own words.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import httpx

from haiga.core.errors import Denied, Failed, HaigaError, Invalid, NotFound

BATCHES, FILED, FILES = "/v1/messages/batches", "/v1/batches", "/v1/files"
MOST_TOLD = 10  # problems of a file
OVER = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Look:
    """How far a batch is; `ended` is what became of its lines, once it has ended."""

    done: int
    total: int
    tokens: int
    ended: Mapping[str, int] | None
    files: tuple[str, ...] = ()


class Api(Protocol):
    """An API of batches."""

    def submit(self, client: httpx.Client, file: Path) -> str:
        """The id of the batch that the server makes of a file."""

    def path(self, id: str) -> str:
        """Where the batch is."""

    def look(self, found: Mapping[str, Any]) -> Look:
        """What a batch says of itself. Raises Invalid when its file was wrong."""

    def fetch(self, client: httpx.Client, id: str, look: Look, results: BinaryIO) -> None:
        """Write the results of a batch that has ended."""


def api_of(file: Path) -> Api:
    """What the requests in a file are for, by the first of them: OpenAI's have a `url` and a `body`. Raises Invalid."""
    try:
        with file.open("rb") as lines:
            first = next((line for line in lines if line.strip()), b"")
    except OSError as problem:
        raise Invalid(f"{file}: {problem.strerror}") from None
    try:
        value = json.loads(first)
    except ValueError:
        return Messages()
    if isinstance(value, dict) and ("url" in value or "body" in value):
        return Filed(str(value.get("url")))
    return Messages()


class Messages:
    """Anthropic's: the lines are the body."""

    def submit(self, client: httpx.Client, file: Path) -> str:
        """See Api."""
        answer = client.post(BATCHES, content=_body(file), headers={"content-type": "application/json"})
        return str(checked(answer)["id"])

    def path(self, id: str) -> str:
        """See Api."""
        return f"{BATCHES}/{id}"

    def look(self, found: Mapping[str, Any]) -> Look:
        """See Api."""
        progress, counts = found["haiga_progress"], found["request_counts"]
        ended = {name: number for name, number in counts.items() if name != "processing"}
        over = found["processing_status"] == "ended"
        return Look(progress["done"], sum(counts.values()), progress["output_tokens"], ended if over else None)

    def fetch(self, client: httpx.Client, id: str, look: Look, results: BinaryIO) -> None:
        """See Api."""
        _download(client, f"{BATCHES}/{id}/results", results)


class Filed:
    """OpenAI's: the lines are a file, and so are the results."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def submit(self, client: httpx.Client, file: Path) -> str:
        """See Api."""
        with file.open("rb") as opened:
            form = {"file": (file.name, opened, "application/jsonl")}
            sent = checked(client.post(FILES, data={"purpose": "batch"}, files=form))
        asked = {"input_file_id": sent["id"], "endpoint": self._endpoint, "completion_window": "24h"}
        return str(checked(client.post(FILED, json=asked))["id"])

    def path(self, id: str) -> str:
        """See Api."""
        return f"{FILED}/{id}"

    def look(self, found: Mapping[str, Any]) -> Look:
        """See Api."""
        counts = found["request_counts"]
        if found["status"] == "failed":
            raise Invalid("\n".join(_told(problem) for problem in found["errors"]["data"][:MOST_TOLD]))
        ended = {name: counts[name] for name in ("completed", "failed")} if found["status"] in OVER else None
        files = tuple(id for id in (found["output_file_id"], found["error_file_id"]) if id)
        done = counts["completed"] + counts["failed"]
        return Look(done, counts["total"], found["usage"]["output_tokens"], ended, files)

    def fetch(self, client: httpx.Client, id: str, look: Look, results: BinaryIO) -> None:
        """See Api."""
        for file in look.files:
            _download(client, f"{FILES}/{file}/content", results)


def _told(problem: Mapping[str, Any]) -> str:
    return problem["message"] if problem["line"] is None else f"line {problem['line']}: {problem['message']}"


def _body(file: Path) -> Iterator[bytes]:
    """The lines as one JSON body, never whole in memory."""
    yield b'{"requests":['
    comma = b""
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield comma + line.strip()
                comma = b","
    yield b"]}"


def _download(client: httpx.Client, path: str, results: BinaryIO) -> None:
    with client.stream("GET", path) as answer:
        if answer.is_error:
            answer.read()
            checked(answer)
        for piece in answer.iter_bytes():
            results.write(piece)


def checked(answer: httpx.Response) -> dict[str, Any]:
    """The answer's object. Raises what it says is wrong."""
    if not answer.is_error:
        found: dict[str, Any] = answer.json()
        return found
    kinds: dict[int, type[HaigaError]] = {400: Invalid, 401: Denied, 403: Denied, 404: NotFound, 413: Invalid}
    try:
        message = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the server answered {answer.status_code}"
    raise kinds.get(answer.status_code, Failed)(message)
