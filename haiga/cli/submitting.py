"""A file of requests to a running server as one batch, its results to another file.

Rule: what is needed to go on after an interruption stands in a state file next to the results, from the moment that
the server has taken the batch.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from haiga.core.errors import Denied, Failed, HaigaError, Invalid, NotFound

PATH = "/v1/messages/batches"
POLL = 0.5  # seconds between two looks


@dataclass(frozen=True, slots=True)
class State:
    """A batch that a server has taken: where, which, and of what input."""

    url: str
    batch: str
    sha256: str


def submit(url: str, headers: Mapping[str, str], file: Path, results: Path) -> None:
    """The requests in `file` to the server at `url`, their results to `results`. Raises core errors."""
    with httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(600, connect=10)) as client:
        try:
            _run(client, url, file, results)
        except httpx.TransportError as problem:
            raise Failed(f"no answer from {url}: {problem or type(problem).__name__}") from None


def _run(client: httpx.Client, url: str, file: Path, results: Path) -> None:
    note = results.with_name(results.name + ".state")
    state = _resume(note, url, file) or _submit(client, url, file, note)
    ended = _follow(client, state.batch)
    _fetch(client, state.batch, results)
    note.unlink()
    counts = ended["request_counts"]
    told = ", ".join(f"{counts[name]} {name}" for name in ("succeeded", "errored", "canceled", "expired"))
    typer.echo(f"{told}: {results}")


def _resume(note: Path, url: str, file: Path) -> State | None:
    """What an earlier run has left. Raises Invalid when it was of another input or server."""
    if not note.exists():
        return None
    state = State(**json.loads(note.read_text()))
    if (state.url, state.sha256) != (url, _digest(file)):
        raise Invalid(f"{note} is of another input or server; delete it to begin anew")
    return state


def _submit(client: httpx.Client, url: str, file: Path, note: Path) -> State:
    digest = _digest(file)
    answer = client.post(PATH, content=_body(file), headers={"content-type": "application/json"})
    state = State(url, str(_checked(answer)["id"]), digest)
    note.write_text(json.dumps(asdict(state)))
    return state


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return file_digest(opened, "sha256").hexdigest()
    except OSError as problem:
        raise Invalid(f"{file}: {problem.strerror}") from None


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


def _follow(client: httpx.Client, id: str) -> dict[str, Any]:
    """The batch once it has ended; meanwhile a progress bar on standard error, if that is a terminal."""
    with _bar() as bar:
        task, tag = bar.add_task("", total=None, tokens=0), ""
        while True:
            answer = client.get(f"{PATH}/{id}", headers={"if-none-match": tag})
            if answer.status_code != 304:
                found, tag = _checked(answer), answer.headers["etag"]
                progress = found["haiga_progress"]
                total = sum(found["request_counts"].values())
                bar.update(task, completed=progress["done"], total=total, tokens=progress["output_tokens"])
                if found["processing_status"] == "ended":
                    return found
            time.sleep(POLL)


def _bar() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


class Speed(ProgressColumn):
    """Tokens generated per second since this command began to look."""

    _first: int | None = None

    def render(self, task: Task) -> Text:
        tokens = int(task.fields["tokens"])
        if self._first is None or not task.elapsed:
            self._first = tokens
            return Text("")
        return Text(f"{(tokens - self._first) / task.elapsed:.0f} tokens/s")


def _fetch(client: httpx.Client, id: str, results: Path) -> None:
    """The results, whole or not at all."""
    part = results.with_name(results.name + ".part")
    try:
        with client.stream("GET", f"{PATH}/{id}/results") as answer, part.open("wb") as opened:
            if answer.is_error:
                answer.read()
                _checked(answer)
            for piece in answer.iter_bytes():
                opened.write(piece)
        part.replace(results)
    except OSError as problem:
        raise Failed(f"{part}: {problem.strerror}") from None


def _checked(answer: httpx.Response) -> dict[str, Any]:
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
