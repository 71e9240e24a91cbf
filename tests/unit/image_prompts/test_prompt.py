"""A prompt means what A1111 says it means, and every text is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.text.image_prompts.prompt import Part, Prompt, Span, Weighted, parse

SYNTAX = st.text(st.sampled_from("ab ()[]:|\\.123-") | st.characters(codec="utf-8"), max_size=60)


def only(prompt: Prompt) -> list[tuple[str, float]]:
    """The one chunk of a prompt that has one."""
    ((part),) = prompt.parts
    ((span),) = part.spans
    ((chunk),) = span.chunks
    return [(piece.text, round(piece.weight, 6)) for piece in chunk]


def texts(prompt: Prompt) -> list[tuple[int, str]]:
    """What the one part says, and until which step."""
    ((part),) = prompt.parts
    return [(span.until, "".join(piece.text for piece in span.chunks[0])) for span in part.spans]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("normal text", [("normal text", 1)]),
        ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        ("(less:0.5) [still]", [("less", 0.5), (" ", 1), ("still", round(1 / 1.1, 6))]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",  # the example of A1111's own doctest
            [
                ("a ", 1),
                ("house", round(1.3 * 1.1 * 1.1, 6)),
                (" ", 1.1),
                ("on", 1),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", round(1.1**4, 6)),
                (".", 1.1),
            ],
        ),
        ("(3:4 is a ratio)", [("3:4 is a ratio", 1.1)]),
        ("[a:b]", [("a:b", round(1 / 1.1, 6))]),
        ("", [("", 1)]),
    ],
)
def test_brackets_weigh_what_is_in_them(text: str, pieces: list[tuple[str, float]]) -> None:
    assert pieces == only(parse(text, 20))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a [red:blue:3] car", [(3, "a red car"), (10, "a blue car")]),
        ("a [blue:0.25] car", [(2, "a  car"), (10, "a blue car")]),
        ("a [red::4] car", [(4, "a red car"), (10, "a  car")]),
        ("a [red:blue:99] car", [(10, "a red car")]),
        ("a [red:blue:0] car", [(10, "a blue car")]),
        ("[[a:b:2]:c:0.5]", [(2, "a"), (5, "b"), (10, "c")]),
        ("[(a:1.2):b:5]", [(5, "a"), (10, "b")]),
    ],
)
def test_a_switch_tells_another_text_after_its_step(text: str, told: list[tuple[int, str]]) -> None:
    assert told == texts(parse(text, 10))


def test_alternatives_take_turns() -> None:
    assert [(1, "a cow"), (2, "a horse"), (3, "a "), (4, "a cow")] == texts(parse("a [cow|horse|]", 4))


def test_break_begins_a_chunk_and_and_a_part() -> None:
    one, two = (Weighted("one"),), (Weighted("two", 1.2), Weighted(" three"))
    four = Part((Span(5, ((Weighted("four"),),)),), 0.5)
    assert Prompt((Part((Span(5, (one, two)),)), four)) == parse("one BREAK (two:1.2) three AND four:0.5", 5)


@given(SYNTAX, st.integers(1, 12))
def test_every_text_is_a_prompt_that_reaches_to_the_last_step(text: str, steps: int) -> None:
    for part in parse(text, steps).parts:
        ends = [span.until for span in part.spans]
        assert ends == sorted(set(ends))
        assert steps == ends[-1]
        assert all(chunk for span in part.spans for chunk in span.chunks)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_an_escaped_text_is_itself(text: str) -> None:
    text = text.replace("BREAK", "").replace("AND", "").replace(":", "")
    escaped = "".join("\\" + each if each in "()[]\\" else each for each in text)
    assert [(text, 1)] == only(parse(escaped, 3))


def test_brackets_without_end_are_read_in_bounded_depth() -> None:
    assert 1 == len(parse("(" * 100_000, 2).parts)
