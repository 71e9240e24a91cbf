"""The project's documents taken apart: headings, tables, fenced blocks, links.

Rule: what is inside a fence is never read as anything else.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    file.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "trainers/**/*.md", "haiga/starter/**/*.md")
    for file in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, what stands beside it, its text, and the heading of level 2 it stands under."""

    language: str
    note: str
    text: str
    section: str


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", read(name))


def headings(name: str, level: int) -> list[str]:
    return [title for marks, title in _HEADING.findall(prose(name)) if len(marks) == level]


def blocks(name: str, *languages: str) -> list[Block]:
    """Fenced blocks in order, those of the languages given, or all."""
    return list(_blocks(read(name), languages))


def _blocks(text: str, languages: tuple[str, ...]) -> Iterator[Block]:
    outside = _FENCE.sub(lambda fence: " " * len(fence[0]), text)
    titles = [(found.start(), found[2]) for found in _HEADING.finditer(outside) if found[1] == "##"]
    for fence in _FENCE.finditer(text):
        if not languages or fence[1] in languages:
            section = next((title for at, title in reversed(titles) if at < fence.start()), "")
            yield Block(fence[1], fence[2].strip(), fence[3], section)


def links(name: str) -> list[str]:
    return _LINK.findall(prose(name))


def anchors(name: str) -> set[str]:
    """The anchors that a document's headings give, as GitHub makes them."""
    titles = (title for _, title in _HEADING.findall(prose(name)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def sections(name: str) -> dict[str, str]:
    """What stands under each heading of level 2, fences left out."""
    parts = re.split(r"^## (.+)$", prose(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a text, as rows of cells, its head first."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if not line.startswith("|"):
            found.append([])
        elif not re.fullmatch(r"[|\s:-]+", line):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [table for table in found if table]


def table(text: str, head: str) -> list[list[str]]:
    """The rows of the one table whose first column is headed `head`."""
    (rows,) = [rows for first, *rows in tables(text) if first[0] == head]
    return rows


def spans(text: str) -> list[str]:
    """What stands between backticks."""
    return [span.strip().replace(r"\|", "|") for _, span in _SPAN.findall(text)]
