"""Styles as A1111 keeps them."""

import pytest

from haiga.core.errors import Invalid
from haiga.text.image_prompts import Style, read_styles


def test_a_style_has_a_name_and_both_prompts() -> None:
    text = 'name,prompt,negative_prompt\nfilm,"a photo of {prompt}, grain",text\r\n----,,\n,no name,\nbare\n'
    film, bare, line = Style("film", "a photo of {prompt}, grain", "text"), Style("bare"), Style("----")
    assert {"film": film, "----": line, "bare": bare} == read_styles(text)


def test_a_text_may_have_lines_and_the_later_of_two_holds() -> None:
    text = 'name,prompt,negative_prompt\na,one,\na,"two\nlines",\n'
    assert {"a": Style("a", "two\nlines")} == read_styles(text)


def test_the_first_files_called_the_prompt_text() -> None:
    assert {"a": Style("a", "one")} == read_styles("name,text\na,one\n")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", 'name,prompt\na,"one\n' + "x" * 200_000])
def test_what_is_no_table_of_styles_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_styles(text)
