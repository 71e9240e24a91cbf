"""The requests that documents show, with the answers they show.

Rule: an `http` fence is a request, the `json` or `text` fence after it the server's answer, which must be it: every
field, and in a stream every byte, but for the times. A table whose head begins with `the request with` is a list of
changes to the section's first request (a JSON Merge Patch, RFC 7396; a header; a query), each with its status and
message.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from tests.docs.pages import ROOT, Block, blocks, read, sections, spans, tables
from tests.docs.server import CREATED, client

PAGES = ("docs/api.md", "docs/openai.md")
REFUSALS = "the request with"
_TIMES = re.compile(r'("(?:created|created_at|completed_at|expires_at)": ?)\d{6,}')
_DATES = re.compile(r'("(?:created_at|expires_at)": ?")20[\d:TZ-]+')
_BATCHES = re.compile(r"\bmsgbatch_[0-9a-f]{22}\b")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    async def send(self, to: httpx.AsyncClient) -> httpx.Response:
        json_body = {} if self.body is None else {"json": self.body}
        return await to.request(self.method, self.path, headers=dict(self.headers), **json_body)

    def changed(self, changes: list[str]) -> "Request":
        """With `changes`, each a header, a query or a JSON Merge Patch."""
        changed = self
        for change in changes:
            if change.startswith("{"):
                changed = replace(changed, body=patch(changed.body, json.loads(change)))
            elif change.startswith("?"):
                changed = replace(changed, path=changed.path.partition("?")[0] + change)
            else:
                name, _, value = change.partition(":")
                changed = replace(changed, headers={**changed.headers, name: value.strip()})
        return changed


@dataclass(frozen=True, slots=True)
class Example:
    page: str
    section: str
    request: Request
    answer: Block

    @property
    def status(self) -> int:
        return int(self.answer.note or 200)


@dataclass(frozen=True, slots=True)
class Refusal:
    section: str
    request: Request
    status: int
    message: str


def read_request(text: str) -> Request:
    head, _, body = text.partition("\n\n")
    first, *rest = head.splitlines()
    method, path = first.split(" ", 1)
    headers = dict(line.split(": ", 1) for line in rest)
    return Request(method, path, headers, json.loads(body) if body.strip() else None)


def patch(value: Any, change: Any) -> Any:
    """RFC 7396: null takes a field away, an object goes deeper, anything else takes its place."""
    if not isinstance(change, dict):
        return change
    kept = dict(value) if isinstance(value, dict) else {}
    merged = {name: patch(kept.get(name), inner) for name, inner in change.items() if inner is not None}
    return {name: inner for name, inner in kept.items() if name not in change} | merged


def examples(page: str) -> Iterator[Example]:
    fences = blocks(page)
    for request, answer in pairwise(fences):
        if request.language == "http":
            yield Example(page, request.section, read_request(request.text), answer)


def refusals(page: str) -> Iterator[Refusal]:
    first: dict[str, Request] = {}
    for example in examples(page):
        first.setdefault(example.section, example.request)
    for section, text in sections(page).items():
        for head, *rows in tables(text):
            for row in rows if head[0] == REFUSALS else ():
                yield Refusal(section, first[section].changed(spans(row[0])), int(row[1]), spans(row[2])[0])


def shown(response: httpx.Response) -> str:
    """An answer as a document shows it."""
    if response.headers["content-type"].startswith("application/json"):
        return timeless(pretty(response.json())) + "\n"
    return timeless(response.text.rstrip("\n")) + "\n"


def timeless(text: str) -> str:
    """Without what differs from run to run: times, and the ids of batches, which are made of them."""
    dated = _DATES.sub(_day, _TIMES.sub(rf"\g<1>{CREATED}", text))
    return _BATCHES.sub("msgbatch_5f1d8c02a9b74e6388d0c1", dated)


def _day(found: re.Match[str]) -> str:
    return f"{found[1]}2026-11-2{'3' if 'expires' in found[1] else '2'}T00:00:00Z"


def pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON, what fits into 100 columns on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent + before <= 100 or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + 2
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    if isinstance(value, dict):
        named = {json.dumps(name) + ": ": each for name, each in value.items()}
        lines = [name + pretty(each, inner, len(name)) for name, each in named.items()]
    else:
        lines = [pretty(each, inner) for each in value]
    return f"{opening}\n" + ",\n".join(" " * inner + line for line in lines) + f"\n{' ' * indent}{closing}"


async def write(page: str, directory: Path) -> None:
    """The page with the answers that its requests get now; a server's data goes to `directory`."""
    text = read(page)
    async with client(directory) as connected:
        for example in examples(page):
            response = await example.request.send(connected)
            status = "" if response.status_code == 200 else f" {response.status_code}"
            note = f" {example.answer.note}" if example.answer.note else ""
            old = f"```{example.answer.language}{note}\n{example.answer.text}```"
            text = text.replace(old, f"```{example.answer.language}{status}\n{shown(response)}```", 1)
    (ROOT / page).write_text(text, encoding="utf-8")
