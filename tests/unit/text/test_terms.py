"""Terms and patterns found in texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.text.terms import Pattern, Wording
from haiga.text.words import words


def found(finder: Wording | Pattern, text: str) -> list[str]:
    return [text[start:end] for start, end in finder.find(text, words(text))]


@pytest.mark.parametrize("text", ["Project Zeus", "PROJECT  ZEUS", "pr0ject z3us", "project Z.E.U.S", "рroject zeus"])
def test_a_term_is_found_in_whatever_disguise(text: str) -> None:
    assert [text] == found(Wording("project zeus"), f"about {text} , you know")


def test_a_term_is_whole_words_in_a_row() -> None:
    assert [] == found(Wording("zeus"), "zeusian")
    assert [] == found(Wording("project zeus"), "project of zeus")
    assert ["zeus", "Zeus"] == found(Wording("zeus"), "zeus and Zeus")


def test_signs_that_are_no_words_are_found_as_they_stand() -> None:
    assert ["§§"] == found(Wording("§§"), "see §§ 5")


def test_a_pattern_is_found_where_it_stands_whatever_is_before_it() -> None:
    assert ["4111 1111"] == found(Pattern(r"(\d{4} )\d{4}"), "日本語 äöü 4111 1111 x")
    assert ["SECRET"] == found(Pattern("secret"), "a SECRET")


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(", "a{5000}", "x*", ""])
def test_what_is_no_linear_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        Pattern(pattern)


def test_an_empty_term_is_refused() -> None:
    with pytest.raises(Invalid, match="empty"):
        Wording("  ")


def test_a_pattern_that_other_engines_hang_on_is_answered() -> None:
    assert [] == found(Pattern("(a+)+b"), "a" * 100_000)


@given(st.text(), st.sampled_from(["a+", r"\w\d", "é", "[^a]b"]))
def test_places_are_characters_of_the_text(text: str, pattern: str) -> None:
    for start, end in Pattern(pattern).find(text, words(text)):
        assert 0 <= start < end <= len(text)
