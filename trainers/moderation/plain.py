"""Harmless text of many kinds, so that the classifier knows what most text is like.

Rule: whole sentences, cut nowhere else; a sentence that holds a profane word is left out, since nobody labelled it.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from trainers.moderation.examples import ALL, FRIENDLY, Example
from trainers.moderation.sources import members

EACH = 4000


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
