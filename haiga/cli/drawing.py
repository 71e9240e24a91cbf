"""A job for pictures on a running server, watched to its end, its files written here.

Rule: a file is written whole or not at all; whoever interrupts the command ends the job.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from haiga.cli.attachments import LARGEST
from haiga.cli.batch_apis import checked
from haiga.core.errors import Failed, Invalid
from haiga.core.media import picture_kind

JOBS = "/v1/jobs"
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Order:
    """What is `asked` by the names of /v1/jobs, and what the command line has in other words."""

    asked: Mapping[str, Any]
    size: str | None
    image: str | None
    mask: str | None
    out: Path

    def body(self) -> dict[str, Any]:
        """Raises Invalid for what cannot be sent."""
        kind = FORMATS.get(self.out.suffix.lower())
        if kind is None:
            raise Invalid(f"expected a name that ends in {', '.join(FORMATS)}, not {self.out}", field="--out")
        body = {**self.asked, "output_format": kind, "previews": False}
        if self.size is not None:
            if not (sides := SIZE.fullmatch(self.size)):
                raise Invalid(f"expected WIDTHxHEIGHT, such as 512x512, not {self.size!r}", field="--size")
            body |= {"width": int(sides[1]), "height": int(sides[2])}
        if self.image is not None:
            body["image"] = _picture(self.image)
        if self.mask is not None:
            body["inpaint"] = {"mask": _picture(self.mask)}
        return body

    def files(self, count: int) -> list[Path]:
        """Where the pictures go."""
        if count == 1:
            return [self.out]
        return [self.out.with_stem(f"{self.out.stem}-{number}") for number in range(1, count + 1)]


def draw(url: str, headers: Mapping[str, str], order: Order) -> None:
    """Raises core errors. An interruption ends the job, and the command with code 130."""
    body = order.body()
    with httpx.Client(base_url=url, headers=dict(headers), timeout=httpx.Timeout(600, connect=10)) as client:
        try:
            pictures = _watched(client, checked(client.post(JOBS, json=body)))
            for picture, file in zip(pictures, order.files(len(pictures)), strict=True):
                _write(file, _file(client, picture["url"]))
                typer.echo(f"{file}: {picture['width']}x{picture['height']}, seed {picture['seed']}")
        except httpx.TransportError as problem:
            raise Failed(f"no answer from {url}: {problem or type(problem).__name__}") from None


def _watched(client: httpx.Client, job: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The job's pictures once it is done. Raises Failed when it was not."""
    path = f"{JOBS}/{job['id']}"
    try:
        with _bar() as bar:
            task = bar.add_task("waiting", total=None, left="")
            for job in _events(client, f"{path}/events"):
                _show(bar, task, job)
    except KeyboardInterrupt:
        client.post(f"{path}/cancel")
        typer.echo("haiga: the job is cancelled", err=True)
        raise typer.Exit(130) from None
    if job["status"] != "done":
        reason = job["error"] or {"message": f"the job is {job['status']}", "param": None}
        raise Failed(reason["message"], field=reason["param"])
    return list(job["pictures"])


def _events(client: httpx.Client, path: str) -> Iterator[Mapping[str, Any]]:
    """The job each time that something about it has changed, up to its end. Raises core errors."""
    with client.stream("GET", path) as answer:
        if answer.status_code != 200:
            answer.read()
            checked(answer)
        for line in answer.iter_lines():
            if not line.startswith("data:"):
                continue
            event = json.loads(line.removeprefix("data:"))
            if event["type"] == "error":
                raise Failed(event["error"]["message"])
            yield event["job"]


def _file(client: httpx.Client, path: str) -> bytes:
    """Raises what the server says is wrong."""
    answer = client.get(path)
    if answer.is_error:
        checked(answer)
    return answer.content


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    left = TextColumn("{task.fields[left]}")
    return Progress(*columns, left, console=console, transient=True, disable=not console.is_terminal)


def _show(bar: Progress, task: Any, job: Mapping[str, Any]) -> None:
    """Steps, and the seconds that the server thinks are left."""
    progress, eta = job["progress"] or {}, job["eta"]
    told = {"queued": f"waiting, {job['position']} before it", "running": "painting"}.get(job["status"], job["status"])
    left = "" if eta is None else f"{eta:.0f} s left"
    step = bar.tasks[task].total if job["status"] == "done" else progress.get("step")
    bar.update(task, description=told, completed=step, total=progress.get("steps"), left=left)


def _picture(named: str) -> str:
    """A picture by its address, or the one in a file as base64. Raises Invalid naming it."""
    if named.startswith(("http://", "https://")):
        return named
    path = Path(named).expanduser()
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST else None
    except OSError as problem:
        raise Invalid(f"{named}: {problem.strerror}") from None
    if data is None or not picture_kind(data):
        raise Invalid(f"{named}: is no picture (JPEG, PNG, GIF or WebP) of at most {LARGEST >> 20} MB")
    return b64encode(data).decode()


def _write(file: Path, data: bytes) -> None:
    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as problem:
        raise Failed(f"{file}: {problem.strerror}") from None
