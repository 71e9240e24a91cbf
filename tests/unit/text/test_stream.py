"""Text pieces to events: chopping never matters, stop strings are never shown."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from haiga.core.generation import BlockStarted, BlockStopped, Event, Finished, TextDelta, TokenLogprob, Usage, fold
from haiga.core.messages import Text
from haiga.text.stream import AnswerStream

LETTERS = st.text("abc", max_size=30)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3).map(tuple)


def events_of(pieces: list[str], stop: tuple[str, ...] = ()) -> tuple[list[Event], str | None]:
    stream = AnswerStream(stop)
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream.matched


def text_of(events: list[Event]) -> str:
    reply = fold([*events, Finished("end_turn", Usage())])
    return "".join(block.text for block in reply.content if isinstance(block, Text))


def expected(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """By trying every end: the stop string that is complete first, of two the longer."""
    for end in range(len(text) + 1):
        matches = [each for each in stop if text[:end].endswith(each)]
        if matches:
            longest = max(matches, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(LETTERS, STOPS)
def test_letter_by_letter_gives_the_text_before_the_first_stop_string(text: str, stop: tuple[str, ...]) -> None:
    events, matched = events_of(list(text), stop)
    assert expected(text, stop) == (text_of(events), matched)


@given(LETTERS, STOPS, st.lists(st.integers(0, 30), max_size=6))
def test_any_chopping_gives_what_the_whole_gives(text: str, stop: tuple[str, ...], cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chopped, matched = events_of([text[a:b] for a, b in pairwise(places)], stop)
    whole, matched_whole = events_of([text], stop)
    assert (text_of(whole), matched_whole) == (text_of(chopped), matched)


def test_events_come_as_one_block() -> None:
    events, _ = events_of(["He", "llo"])
    assert [BlockStarted(0, Text("")), TextDelta(0, "He"), TextDelta(0, "llo"), BlockStopped(0)] == events


def test_an_answer_without_text_has_no_block() -> None:
    assert ([], None) == events_of(["", ""])
    assert ([], "stop") == events_of(["st", "op"], ("stop",))


def test_only_what_might_begin_a_stop_string_is_held_back() -> None:
    stream = AnswerStream(("</answer>",))
    pieces = ("yes <", "/ans", "we ", "</answer>", "more")
    shown = [[event.text for event in stream.feed(piece) if isinstance(event, TextDelta)] for piece in pieces]
    assert [["yes "], [], ["</answe "], [], []] == shown
    assert "</answer>" == stream.matched


def test_log_probabilities_come_with_the_text_their_token_begins() -> None:
    one, two, three = (TokenLogprob(number, text, -1.0) for number, text in enumerate(("a<", "b", "c")))
    stream = AnswerStream(("<bx",))
    deltas = [*stream.feed("a<", [one]), *stream.feed("b", [two]), *stream.feed("c", [three])]
    assert [TextDelta(0, "a", (one,)), TextDelta(0, "<bc", (two, three))] == deltas[1:]
