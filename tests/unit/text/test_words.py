"""Words with their disguises taken off, and the rows they become."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.text.grams import Grams
from haiga.text.words import words
from trainers.moderation.disguise import KINDS, disguised


def read(text: str) -> list[str]:
    return [word.text for word in words(text)]


@pytest.mark.parametrize(
    ("plain", "hidden"),
    [
        ("hello there", "HELLO ThErE"),
        ("hello there", "h3ll0 th3re"),
        ("hello there", "h-e-l-l-o t.h.e.r.e"),
        ("hello there", "hеllо thеrе"),  # Cyrillic letters
        ("hello there", "héllò thère"),
        ("hello there", "ｈｅｌｌｏ there"),
        ("hello there", "he\u200bllo there"),
        ("hello there", "heeeello theeeere"),
        ("asshole", "a$$h0le"),
    ],
)
def test_a_disguise_does_not_hide_a_word(plain: str, hidden: str) -> None:
    assert read(plain) == read(hidden)


def test_signs_numbers_and_addresses_are_words_of_their_own() -> None:
    assert ["wow", "!", "<user>", "see", "<url>", ",", "<number>", "times", "<number>"] == read(
        "Wow!!! @some_one see https://a.b/c?d , 3.5 times $50"
    )


@given(st.text())
def test_words_stand_in_order_at_places_of_the_text(text: str) -> None:
    found = words(text)
    assert all(0 <= word.start < word.end <= len(text) for word in found)
    assert all(a.start <= b.start and a.end <= b.end for a, b in pairwise(found))


@pytest.mark.parametrize("kind", KINDS)
def test_training_disguises_as_people_do(kind: str) -> None:
    text = "everybody should really travel sometimes"
    assert text != disguised(text, kind, random.Random(1))


def test_the_same_word_has_the_same_rows_and_others_share_pieces() -> None:
    table = Grams(1 << 16, 24).table(["walking", "walked", "walking"], 4)
    assert (4, 24) == table.shape
    assert (table[0] == table[2]).all()
    assert 0 == table[3].sum()
    assert set(table[0]) & set(table[1]) - {0}


def test_rows_are_the_same_on_every_machine() -> None:
    assert [25607, 1046, 26225] == [int(row) for row in Grams(1 << 16, 3).table(["walk"], 1)[0]]
