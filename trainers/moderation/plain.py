"""Harmless text of many kinds, so that the classifier knows what most text is like.

Rule: whole sentences, cut nowhere else; a sentence that holds a profane word is left out, since nobody labelled it.
"""

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from trainers.moderation.examples import ALL, FRIENDLY, Example
from trainers.moderation.sources import members

EACH = 3000
LONG = 1_000_000  # characters of a file that are read for its words
_UNSORTED = ("cyber", "drug", "mental-health", "sex", "spiritism", "violence", "ai-")  # some of their questions do harm


def harmless(data: Path, seed: int) -> list[Example]:
    """Up to EACH sentences of each set."""
    text, chance = data / "text", random.Random(seed)
    profane = {line.strip() for line in (data / "moderation/ldnoobw_en.txt").read_text(encoding="utf-8").splitlines()}
    found = []
    for source, sentences in {
        "gsm8k": _gsm8k(text / "gsm8k_train.jsonl"),
        "taskmaster": _spoken(text / "taskmaster4.tar.xz"),
        "instructions": _instructions(text / "self_instruct_seed_and_user.tar.xz"),
        "books": _books(text / "classic_childrens_books.tar.xz"),
        "pages": _pages(text / "tldr_pages_en.tar.xz"),
        "tales": _asked(text / "FairytaleQAData.tar.xz"),
        "safety": _advice(text / "caia_ai_safety.tar.xz"),
    }.items():
        kept = sorted({s for s in sentences if 12 < len(s) < 400 and not profane & set(s.lower().split())})
        chance.shuffle(kept)
        found += [Example(sentence, FRIENDLY, ALL, f"plain-{source}") for sentence in kept[:EACH]]
    return found


def _sentences(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        yield from re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split()))


def _gsm8k(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["question"][:400]


def _spoken(path: Path) -> Iterator[str]:
    for _, text in members(path, ".json"):
        for turn in re.findall(r'"text":\s*"((?:[^"\\]|\\.)*)"', text):
            yield json.loads(f'"{turn}"')


def _instructions(path: Path) -> Iterator[str]:
    for _, text in members(path, ".jsonl"):
        for line in text.splitlines():
            yield json.loads(line)["instruction"]


def _books(path: Path) -> Iterator[str]:
    for _, text in members(path, ".md"):
        yield from list(_sentences(text))[50:1050]


def _advice(path: Path) -> Iterator[str]:
    """Answers that keep people safe, and the questions of those files whose questions are harmless."""
    for name, text in members(path, "-safety.jsonl"):
        for line in text.splitlines():
            for role, said in re.findall(r'"role":\s*"(user|assistant)",\s*"content":\s*"((?:[^"\\]|\\.)*)"', line):
                if role == "assistant" or not Path(name).name.startswith(_UNSORTED):
                    yield said.replace("\\n", " ").replace('\\"', '"')[:399]


def _pages(path: Path) -> Iterator[str]:
    """What commands are for: processes are killed there, and children."""
    for _, text in members(path, ".md"):
        yield from (
            line.strip("-> :") for line in text.splitlines() if line.startswith(("- ", "> ")) and "http" not in line
        )


def _asked(path: Path) -> Iterator[str]:
    for _, text in members(path, "-questions.csv"):
        yield from (row["question"] for row in csv.DictReader(io.StringIO(text)) if row.get("question"))


def reading(data: Path) -> list[str]:
    """Much text, for the words in it: books, pages, dialogues, definitions."""
    found = []
    for name in ("classic_childrens_books", "taskmaster4", "tldr_pages_en", "asp_en", "pb_en", "open_english_wordnet"):
        for suffix in (".md", ".json", ".txt", ".yaml"):
            found += [text[:LONG] for _, text in members(data / "text" / f"{name}.tar.xz", suffix)]
    return found
