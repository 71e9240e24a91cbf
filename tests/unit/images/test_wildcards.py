"""The folder of wildcards as it changes, and prompts drawn from it."""

import os
from pathlib import Path

import pytest

from haiga.core.errors import Invalid
from haiga.core.images import Hires, ImageRequest, Variation
from haiga.services.images.wildcards import LARGEST, MOST, Cards, WildcardFolder, with_wildcards

LETTERS = {"letter": [*"abcdefghijklmnopqrstuvwxyz"]}


def known() -> Cards:
    return LETTERS


def test_files_are_read_when_they_come_change_break_and_go(tmp_path: Path) -> None:
    folder = WildcardFolder(tmp_path / "wildcards")
    assert {} == folder.cards()
    file = tmp_path / "wildcards" / "animals" / "cat.txt"
    file.parent.mkdir(parents=True)
    file.write_text("\ufeff# kinds of cats\ntabby \n\n siamese\n")
    assert {"animals/cat": ["tabby", "siamese"]} == folder.cards()
    file.write_text("manx\n")
    assert {"animals/cat": ["manx"]} == folder.cards()
    file.write_bytes(b"\xff" * 10)
    assert {"animals/cat": ()} == folder.cards()
    file.unlink()
    assert {} == folder.cards()


def test_only_files_of_a_size_to_be_read_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "large.txt").write_text("a" * (LARGEST + 1))
    (tmp_path / "other.md").write_text("a")
    folder = WildcardFolder(tmp_path)
    assert {"large": ()} == folder.cards() == folder.cards()
    assert ["large.txt" in record.getMessage() for record in caplog.records] == [True]


async def test_pictures_have_prompts_of_their_own_and_a_seed_has_the_same_always() -> None:
    asked = ImageRequest(
        "m", "a __letter__", "__letter__", seed=5, count=3, together=3, hires=Hires(prompt="__letter__")
    )
    drawn = await with_wildcards(asked, known)
    assert drawn == await with_wildcards(asked, known)
    parts = drawn.parts
    assert [(5, 1, 1), (6, 1, 1), (7, 1, 1)] == [(part.seed, part.count, part.together) for part in parts]
    assert 3 == len({part.prompt for part in parts})
    assert all(part.hires and part.prompt == f"a {part.negative}" == f"a {part.hires.prompt}" for part in parts)
    alone = ImageRequest("m", "a __letter__", "__letter__", seed=6, hires=Hires(prompt="__letter__"))
    assert [parts[1]] == (await with_wildcards(alone, known)).parts


async def test_variations_of_a_seed_say_the_same() -> None:
    asked = ImageRequest("m", "a __letter__", seed=5, count=3, variation=Variation(1, 0.5))
    drawn = await with_wildcards(asked, known)
    assert [drawn] == drawn.parts and "__" not in drawn.prompt


async def test_what_wildcards_cannot_become_is_refused_by_the_field() -> None:
    with pytest.raises(Invalid, match="longer than") as refused:
        cards = {"a": ["__a____a____a____a__"]}
        await with_wildcards(ImageRequest("m", "a boat", "__a__", seed=1), lambda: cards)
    assert "negative_prompt" == refused.value.field
    with pytest.raises(Invalid, match="all pictures"):
        await with_wildcards(ImageRequest("m", "{a|b}" + "c" * (MOST // 32), seed=1, count=64), known)
