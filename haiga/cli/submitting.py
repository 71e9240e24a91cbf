"""A file of requests to a running server as one batch, its results to another file.

Rule: what is needed to go on after an interruption stands in a state file next to the results, from the moment that
the server has taken the batch.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from haiga.cli.batch_apis import Api, Look, Messages, api_of, checked
from haiga.core.errors import Failed, Invalid

VERSION = "anthropic-version"
POLL = 0.5  # seconds between two looks


@dataclass(frozen=True, slots=True)
class State:
    """A batch that a server has taken: where, which, and of what input."""

    url: str
    batch: str
    sha256: str


def submit(url: str, headers: Mapping[str, str], file: Path, results: Path) -> None:
    """The requests in `file` to the server at `url`, their results to `results`. Raises core errors."""
    api = api_of(file)
    own = {name: value for name, value in headers.items() if name != VERSION or isinstance(api, Messages)}
    with httpx.Client(base_url=url, headers=own, timeout=httpx.Timeout(600, connect=10)) as client:
        try:
            _run(client, api, url, file, results)
        except httpx.TransportError as problem:
            raise Failed(f"no answer from {url}: {problem or type(problem).__name__}") from None


def _run(client: httpx.Client, api: Api, url: str, file: Path, results: Path) -> None:
    note = results.with_name(results.name + ".state")
    state = _resume(note, url, file) or _submit(client, api, url, file, note)
    try:
        look = _follow(client, api, state.batch)
    except Invalid:  # nothing to come back to
        note.unlink()
        raise
    _fetch(client, api, state.batch, look, results)
    note.unlink()
    told = ", ".join(f"{number} {name}" for name, number in (look.ended or {}).items())
    typer.echo(f"{told}: {results}")


def _resume(note: Path, url: str, file: Path) -> State | None:
    """What an earlier run has left. Raises Invalid when it was of another input or server."""
    if not note.exists():
        return None
    state = State(**json.loads(note.read_text()))
    if (state.url, state.sha256) != (url, _digest(file)):
        raise Invalid(f"{note} is of another input or server; delete it to begin anew")
    return state


def _submit(client: httpx.Client, api: Api, url: str, file: Path, note: Path) -> State:
    digest = _digest(file)
    state = State(url, api.submit(client, file), digest)
    note.write_text(json.dumps(asdict(state)))
    return state


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return file_digest(opened, "sha256").hexdigest()
    except OSError as problem:
        raise Invalid(f"{file}: {problem.strerror}") from None


def _follow(client: httpx.Client, api: Api, id: str) -> Look:
    """The batch once it has ended; meanwhile a progress bar on standard error, if that is a terminal. Raises Invalid
    when it failed."""
    with _bar() as bar:
        task, tag = bar.add_task("", total=None, tokens=0), ""
        while True:
            answer = client.get(api.path(id), headers={"if-none-match": tag})
            if answer.status_code != 304:
                found, tag = checked(answer), answer.headers["etag"]
                look = api.look(found)
                bar.update(task, completed=look.done, total=look.total or None, tokens=look.tokens)
                if look.ended is not None:
                    return look
            time.sleep(POLL)


def _bar() -> Progress:
    columns, console = (BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn()), Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class Speed(ProgressColumn):
    """Tokens generated per second since this command began to look."""

    _first: int | None = None

    def render(self, task: Task) -> Text:
        tokens = int(task.fields["tokens"])
        if self._first is None or not task.elapsed:
            self._first = tokens
            return Text("")
        return Text(f"{(tokens - self._first) / task.elapsed:.0f} tokens/s")


def _fetch(client: httpx.Client, api: Api, id: str, look: Look, results: Path) -> None:
    """The results, whole or not at all."""
    part = results.with_name(results.name + ".part")
    try:
        with part.open("wb") as opened:
            api.fetch(client, id, look, opened)
        part.replace(results)
    except OSError as problem:
        raise Failed(f"{part}: {problem.strerror}") from None
