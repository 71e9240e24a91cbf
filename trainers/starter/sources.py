"""The raw texts: which files of the data folder are read, under which licences, and how they are opened.

Rule: this file only opens and cleans; what a model should learn from the texts is decided in corpus.py and below.
"""

import csv
import hashlib
import html
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Source:
    file: str
    title: str
    licence: str


SOURCES = (
    Source("classic_childrens_books.tar.xz", "48 classic children's books", "public domain"),
    Source("FairytaleQAData.tar.xz", "FairytaleQA: stories, questions, answers", "Apache-2.0; stories public domain"),
    Source("asp_en.tar.xz", "African Storybook, English", "CC-BY 4.0"),
    Source("pb_en.tar.xz", "Pratham Books, English", "CC-BY 4.0"),
    Source("open_english_wordnet.tar.xz", "Open English WordNet", "CC-BY 4.0, WordNet licence"),
    Source("factbook.tar.xz", "The World Factbook as JSON", "CC0"),
    Source("tldr_pages_en.tar.xz", "tldr pages, English", "CC-BY 4.0"),
    Source("chatterbot_en.tar.xz", "ChatterBot corpus, English", "BSD-3-Clause"),
    Source("smalltalkkb.tsv", "Small talk knowledge base", "ISC"),
    Source("self_instruct_seed_and_user.tar.xz", "Self-Instruct seed and user tasks", "Apache-2.0"),
    Source("caia_ai_safety.tar.xz", "CAIA AI safety conversations", "CC-BY 4.0"),
    Source("taskmaster4.tar.xz", "Taskmaster-4 dialogues", "CC-BY 4.0"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One text that is wholly in the training part or wholly held out. `short`: a story that can be told whole."""

    source: str
    title: str
    text: str
    short: bool = False


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def members(path: Path, suffix: str) -> Iterator[tuple[str, str]]:
    """(name, text) of the archive's files that end in `suffix`, in name order."""
    with tarfile.open(path) as archive:
        for entry in sorted(archive, key=lambda e: e.name):
            file = archive.extractfile(entry) if entry.name.endswith(suffix) else None
            if file is not None:
                yield entry.name, file.read().decode("utf-8", "replace")


def plain(text: str) -> str:
    """Typographic quotes, dashes and spaces made plain, markdown emphasis and runs of blanks removed."""
    text = text.translate(str.maketrans("‘’‛“”„\u00a0\u200b", "'''\"\"\"  ")).replace("—", "--").replace("…", "...")
    text = re.sub(r"(?<!\w)[_*](\S(?:[^_*\n]*\S)?)[_*](?!\w)", r"\1", text)
    return re.sub(r"[ \t]+", " ", text)


def unwrapped(text: str) -> str:
    """Hard-wrapped lines joined into paragraphs that are parted by one blank line."""
    paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text))
    return "\n\n".join(p for p in paragraphs if p)


def books(folder: Path) -> Iterator[Document]:
    """Chapters of the children's classics; Aesop's fables one by one, as stories short enough to be told."""
    for name, text in members(folder / "classic_childrens_books.tar.xz", ".md"):
        book = PurePosixPath(name).stem
        for number, part in enumerate(re.split(r"\n#+ +", plain(text.partition("-------")[2]))):
            title, _, body = part.partition("\n")
            body = unwrapped(body)
            if len(body) > 200:
                yield Document(book, title.strip() or f"{book} {number}", body, "Aesop" in book and len(body) < 1500)


def picture_books(folder: Path) -> Iterator[Document]:
    """African Storybook and Pratham Books: pages joined, the licence page cut off."""
    for file in ("asp_en.tar.xz", "pb_en.tar.xz"):
        for _, text in members(folder / file, ".md"):
            pages = plain(text).split("\n##")
            body = "\n\n".join(unwrapped(p).replace("\n\n", " ") for p in pages[1:] if "* License" not in p)
            if len(body) > 150:
                yield Document(file.split("_")[0], pages[0].lstrip("# ").strip(), body, len(body) < 1300)


@dataclass(frozen=True, slots=True)
class Tale:
    """A FairytaleQA story in sections, with (section numbers from 1, question, answer)."""

    title: str
    sections: tuple[str, ...]
    questions: tuple[tuple[tuple[int, ...], str, str], ...]


def tales(folder: Path) -> Iterator[Tale]:
    files = dict(members(folder / "FairytaleQAData.tar.xz", ".csv"))
    for name in (n for n in files if "/section-stories/" in n):
        rows = csv.DictReader(io.StringIO(files[name]))
        sections = tuple(plain(unwrapped(r["text"] or "")) for r in rows)
        asked = files.get(name.replace("section-stories", "questions").replace("-story.csv", "-questions.csv"), "")
        yield Tale(PurePosixPath(name).stem.removesuffix("-story"), sections, tuple(_questions(asked, len(sections))))


def _questions(text: str, sections: int) -> Iterator[tuple[tuple[int, ...], str, str]]:
    for row in csv.DictReader(io.StringIO(text)):
        where = tuple(int(n) for n in re.findall(r"\d+", row["cor_section"] or ""))
        if where and max(where) <= sections and row["question"] and row["answer1"]:
            yield where, plain(row["question"]).strip(), plain(row["answer1"]).strip()


def wordnet_files(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file stem, content) of the entries and of the noun, verb and adjective synsets."""
    for name, text in members(folder / "open_english_wordnet.tar.xz", ".yaml"):
        stem = PurePosixPath(name).stem
        if stem.startswith(("entries-", "noun.", "verb.", "adj.all")):
            yield stem, yaml.load(text, Loader=yaml.CSafeLoader)


def countries(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(region, facts) of every page of the factbook that describes a place."""
    for name, text in members(folder / "factbook.tar.xz", ".json"):
        region = PurePosixPath(name).parent.name
        if region not in ("meta", "world", "oceans", "antarctica", "factbook", ""):
            yield region, json.loads(text)


def markup_free(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def command_pages(folder: Path) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """(command, what it is, ((what to do, command line), ...)) of the tldr pages common to all systems."""
    for name, text in members(folder / "tldr_pages_en.tar.xz", ".md"):
        if "pages/common/" in name:
            title, about = re.search(r"^# (.+)", text), re.search(r"^> (.+)", text, re.M)
            steps = re.findall(r"^- (.+):\s*\n\n`(.+)`", text, re.M)
            if title and about and steps:
                yield title[1], about[1], tuple((_unkeyed(a), re.sub(r"{{|}}", "", b)) for a, b in steps)


def _unkeyed(text: str) -> str:
    """tldr marks the letters of an option inside words, as in `[c]reate`; the marks are removed."""
    return re.sub(r"\[(\w+)\]", r"\1", text)


def chatterbot(folder: Path, topics: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, text in members(folder / "chatterbot_en.tar.xz", ".yml"):
        if PurePosixPath(name).stem in topics:
            for turns in yaml.load(text, Loader=yaml.CSafeLoader)["conversations"]:
                yield tuple(plain(" ".join(str(t).split())) for t in turns)


def small_talk(folder: Path) -> Iterator[tuple[str, str]]:
    """(what the user says, intent)."""
    with (folder / "smalltalkkb.tsv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row["Question"], row["Answer"].removeprefix("smalltalk.")


def json_lines(folder: Path, file: str) -> Iterator[dict[str, Any]]:
    """Every line that is valid JSON; the safety set as published has a few that are not."""
    for _, text in members(folder / file, ".jsonl"):
        for line in text.split("\n"):
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def orders(folder: Path) -> Iterator[tuple[tuple[str, str], ...]]:
    """Taskmaster-4 dialogues as (role, text) turns."""
    for name, text in members(folder / "taskmaster4.tar.xz", ".json"):
        if "data/data_" in name:
            for talk in json.loads(text):
                yield tuple((u["speaker"], plain(u["text"]).strip()) for u in talk["utterances"])
