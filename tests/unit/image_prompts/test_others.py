"""Networks, wildcards, styles and infotexts."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.text.image_prompts import Deck, Network, Style, expand, infotext, networks, read_infotext, styled

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30)
NAMES = st.from_regex(r"\A[A-Z][a-z]{1,6}( [a-z]{1,6})?\Z").filter(
    lambda name: name not in ("Prompt", "Negative prompt")
)


def chances(*numbers: float) -> Iterator[float]:
    yield from numbers


@pytest.mark.parametrize(
    ("text", "rest", "found"),
    [
        ("a <lora:boat:0.5> b", "a b", (Network("boat", 0.5, 0.5),)),
        ("<lora:boat>", "", (Network("boat"),)),
        ("<lora:a:0.2:0.9><lora:a:1>", "", (Network("a", 1.0, 1.0),)),
        ("<lora:a:te=0.1:unet=2>", "", (Network("a", 2.0, 0.1),)),
        ("<lora:a:much> <b>  c", "<lora:a:much> <b>  c", ()),
    ],
)
def test_networks_are_taken_out_of_the_prompt(text: str, rest: str, found: tuple[Network, ...]) -> None:
    assert (rest, found) == networks(text)


def test_wildcards_become_lines_and_braces_choices() -> None:
    cards = Deck({"colour": ["red", "__shade__ blue"], "shade": ["dark", "light"], "animals/cat": ["tabby"]})
    drawn = chances(0.9, 0.0, 0.8, 0.6).__next__
    assert "a tabby in dark blue" == expand("a __animals/*__ in __colour__", cards, chances(0.0, 0.9, 0.0).__next__)
    assert "b" == expand("{a:1|b:3}", cards, drawn)
    assert "b, b" == expand("{1::a|3::b}, {a|b}", cards, lambda: 0.5)


@given(LINES.filter(lambda text: "|" not in text))
def test_what_names_no_card_and_is_no_choice_stays(text: str) -> None:
    for stays in (
        text,
        "__nothing__ {prompt} __../secret__ __x/../../*__",
        '{"scene": {"of": "a boat"}}',
        "a " * 40_000,
    ):
        assert stays == expand(stays, Deck({"secrets": ["red"]}), lambda: 0.0)


def test_a_card_that_names_itself_ends() -> None:
    assert "__a__ x" in expand("__a__", Deck({"a": ["__a__ x"]}), lambda: 0.0)
    with pytest.raises(Invalid, match="longer than"):
        expand("__a__", Deck({"a": ["__a__" * 50]}), lambda: 0.0)


def test_patterns_of_a_deck_are_few() -> None:
    deck = Deck({"a": ["red"]})
    assert "red" * 100 == expand("__*__" * 100, deck, lambda: 0.0)
    with pytest.raises(Invalid, match="different wildcards"):
        expand("".join(f"__{letter}*__" for letter in "bcdefghi"), deck, lambda: 0.0)


def test_styles_are_put_around_or_behind() -> None:
    styles = [Style("film", "photo of {prompt}, grain", "drawing"), Style("warm", "warm light")]
    assert ("photo of a cat, grain, warm light", "dog, drawing") == styled("a cat", "dog", styles)


def test_a_text_of_a1111_is_read() -> None:
    text = (
        "a cat, (furry:1.2)\nin a hat\nNegative prompt: dog, blurry\n"
        "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, "
        'Model hash: 6ce0161689, Lora hashes: "boat: 1a2b, hat: 3c4d", Version: v1.10.1'
    )
    read = read_infotext(text)
    assert ("a cat, (furry:1.2)\nin a hat", "dog, blurry") == (read["Prompt"], read["Negative prompt"])
    assert ("20", "DPM++ 2M Karras", "boat: 1a2b, hat: 3c4d") == (read["Steps"], read["Sampler"], read["Lora hashes"])


@given(LINES, LINES, st.dictionaries(NAMES, LINES.filter(bool), min_size=3, max_size=6))
def test_what_is_written_is_read_back(prompt: str, negative: str, parameters: dict[str, str]) -> None:
    prompt, negative = (" ".join(each.replace("Negative prompt:", "").split()) for each in (prompt, negative))
    told = {"Prompt": prompt, "Negative prompt": negative, **parameters}
    assert told == read_infotext(infotext(told))


@given(LINES)
def test_any_text_is_read(text: str) -> None:
    assert {"Prompt", "Negative prompt"} <= read_infotext(text).keys()
