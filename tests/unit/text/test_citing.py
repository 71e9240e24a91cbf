"""Passages of documents, and answers that cite them by their numbers."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    TextDelta,
    ThinkingDelta,
    Usage,
    fold,
)
from haiga.core.messages import Text, Thinking
from haiga.text.citing import Catalogue, CitingStream, Source, sentences, with_numbers

FACTS = "The grass is green. The sky is blue."


def text_source(text: str = FACTS, index: int = 0) -> Source:
    return Source("char_location", (text,), {"document_index": index, "document_title": None, "file_id": None})


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FACTS, ["The grass is green.", "The sky is blue."]),
        (
            "It is 3.5 m. Dr. Who met J. Doe, e.g. here!  Yes?",
            ["It is 3.5 m.", "Dr. Who met J. Doe, e.g. here!", "Yes?"],
        ),
        ("Title\n\nA line\nthat goes on.\n- one\n- two", ["Title", "A line\nthat goes on.", "- one", "- two"]),
        ("草は緑。空は青！", ["草は緑。", "空は青！"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        (" \n ", []),
        ("", []),
    ],
)
def test_sentences_are_found_where_a_reader_finds_them(text: str, expected: list[str]) -> None:
    assert expected == cut(text)


@given(st.text(alphabet="aA .!?\n。-[1]", max_size=200))
def test_no_character_but_blanks_is_left_out_and_none_is_in_two_sentences(text: str) -> None:
    spans = sentences(text)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    assert "".join(text.split()) == "".join("".join(text[slice(*span)] for span in spans).split())


def test_what_has_no_end_is_cut_into_pieces() -> None:
    assert max(map(len, cut("word " * 1000))) <= 600
    assert max(map(len, cut("x" * 5000))) <= 600


def test_passages_are_numbered_through_all_sources() -> None:
    blocks = Source("content_block_location", ("one", "", "two"), {"document_index": 1})
    catalogue = Catalogue([text_source(), blocks])
    assert "[1] The grass is green. [2] The sky is blue." == catalogue.shown(0, 0)
    assert ["[3] one", "", "[4] two"] == [catalogue.shown(1, unit) for unit in range(3)]


def test_numbers_are_written_in_a_way_that_no_document_uses() -> None:
    assert "[[1]]" == Catalogue([text_source("As said in [12].")]).mark(1)
    assert "[#1]" == Catalogue([text_source("[1] and [[2]]")]).mark(1)


def test_each_kind_of_source_is_cited_in_its_own_places() -> None:
    pages = Source("page_location", ("One. Two.", "Three."), {"document_index": 1})
    blocks = Source("content_block_location", ("a", "b"), {"document_index": 2})
    found = Source("search_result_location", ("x", "y"), {"search_result_index": 0, "source": "u", "title": "t"})
    catalogue = Catalogue([text_source(), pages, blocks, found])
    cited = catalogue.citations([(2, 2), (3, 4), (4, 5), (6, 7), (8, 9)])
    places = [{k: v for k, v in each.items() if k.startswith(("start", "end", "cited"))} for each in cited]
    assert [
        {"cited_text": "The sky is blue.", "start_char_index": 20, "end_char_index": 36},
        {"cited_text": "One. Two.", "start_page_number": 1, "end_page_number": 2},
        {"cited_text": "Two.\nThree.", "start_page_number": 1, "end_page_number": 3},
        {"cited_text": "ab", "start_block_index": 0, "end_block_index": 2},
        {"cited_text": "xy", "start_block_index": 0, "end_block_index": 2},
    ] == places
    assert cited[0]["cited_text"] == FACTS[20:36]


def test_a_range_over_two_sources_is_two_citations() -> None:
    catalogue = Catalogue([text_source("One."), text_source("Two.", 1)])
    assert [0, 1] == [each["document_index"] for each in catalogue.citations([(1, 2)])]


# --- answers ---


def events(pieces: Sequence[str]) -> list[Event]:
    said: list[Event] = [BlockStarted(0, Text(""))]
    said += [TextDelta(0, piece) for piece in pieces]
    return [*said, BlockStopped(0), Finished("end_turn", Usage())]


def answered(*pieces: str, catalogue: Catalogue | None = None) -> list[tuple[str, list[str]]]:
    """The blocks that become of an answer: their texts and what they cite."""
    stream = CitingStream(catalogue or Catalogue([text_source()]))
    reply = fold([shown for event in events(pieces) for shown in stream.feed(event)])
    return [
        (block.text, [str(each["cited_text"]) for each in block.citations])
        for block in reply.content
        if isinstance(block, Text)
    ]


GREEN, BLUE = "The grass is green.", "The sky is blue."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Grass is green [1].", [("Grass is green", [GREEN]), (".", [])]),
        ("Grass is green. [1] Good.", [("Grass is green.", [GREEN]), (" Good.", [])]),
        ("Well. It is green[1][2] so.", [("Well. ", []), ("It is green", [GREEN, BLUE]), (" so.", [])]),
        ("Both [1, 2].", [("Both", [GREEN, BLUE]), (".", [])]),
        ("Both [1-2]", [("Both", [FACTS])]),
        ("Nothing of it.", [("Nothing of it.", [])]),
        ("See a[0], [9] and [x].", [("See a[0], [9] and [x].", [])]),
        ("[1] Grass", [(" Grass", [])]),
        ("An open [1", [("An open [1", [])]),
        ("", []),
    ],
)
def test_what_stands_before_a_number_rests_on_its_passage(answer: str, expected: Any) -> None:
    assert expected == answered(answer)
    assert expected == answered(*answer)


@given(
    st.lists(st.sampled_from(["Green", " it is", ". ", "[1]", "[2]", "[7]", "\n", " [1-2]", "[", "1", "]", "!"])),
    st.data(),
)
def test_however_an_answer_arrives_it_becomes_the_same_blocks(parts: list[str], data: st.DataObject) -> None:
    whole = "".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert answered(whole) == answered(*pieces)


def test_a_sentence_without_a_number_is_shown_once_the_next_one_begins() -> None:
    stream = CitingStream(Catalogue([text_source()]))
    stream.feed(BlockStarted(0, Text("")))
    assert [] == stream.feed(TextDelta(0, "Well then. "))
    assert [BlockStarted(0, Text("")), TextDelta(0, "Well then. ")] == stream.feed(TextDelta(0, "It"))


def test_blocks_that_are_no_text_keep_their_order_and_get_new_numbers() -> None:
    thought: list[Event] = [BlockStarted(0, Thinking("")), ThinkingDelta(0, "[1]"), BlockStopped(0)]
    said = [BlockStarted(1, Text("")), TextDelta(1, "A [1]. B [2]"), BlockStopped(1), Finished("end_turn", Usage())]
    stream = CitingStream(Catalogue([text_source()]))
    shown = [each for event in [*thought, *said] for each in stream.feed(event)]
    assert [0, 1, 2, 3] == [each.index for each in shown if isinstance(each, BlockStarted)]
    assert [0, 1, 2, 3] == [each.index for each in shown if isinstance(each, BlockStopped)]
    assert "[1]" == next(each.thinking for each in shown if isinstance(each, ThinkingDelta))


def test_an_earlier_answer_is_shown_with_the_numbers_it_was_written_with() -> None:
    catalogue = Catalogue([text_source(), Source("content_block_location", ("x", "y"), {"document_index": 1})])
    cited = tuple(catalogue.citations([(2, 2), (4, 4)]))
    assert "Blue [2][4]" == with_numbers(Text("Blue", cited), catalogue).text
    other = Text("Blue", ({"type": "char_location", "document_index": 7, "start_char_index": 0, "end_char_index": 9},))
    assert other == with_numbers(other, catalogue)
