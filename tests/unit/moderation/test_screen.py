"""What leaves the server of an answer that is judged while it is written."""

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    CitationDelta,
    Event,
    Finished,
    InputDelta,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
    fold,
)
from haiga.core.messages import ServerToolResult, Text, Thinking, ToolUse
from haiga.core.policies import MASK, Bound, Decision, Policy, Term
from haiga.engines.fake_classifier import FakeClassifier
from haiga.services.moderation import Classifiers, Moderator
from haiga.services.moderation.holding import FULL, Holding
from haiga.services.moderation.screen import Screen

CLASSIFIER = FakeClassifier({"vile": "hate", "gory": "violence"})
BLOCK = Policy("block", "1", {"hate": Bound("block")})
TAKE_OUT = Policy("mask", "1", {"hate": Bound("mask")}, (Term("zeus", "project zeus", "mask"),))
TERM = Policy("term", "1", terms=(Term("zeus", "project zeus"), Term("card", r"(\d{4} ){3}\d{4}", pattern=True)))
WORDS = ["good", "words", "and", "more", "of", "them", "a", "I", "vile", "project", "zeus", "naïve", "日本語の文"]
ENDS = [" ", " ", " ", " ", ". ", "! ", ", ", "\n", ".", "  "]

said = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDS)), max_size=60).map(
    lambda pairs: "".join(word + end for word, end in pairs)
)


def chopped(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(places)]


def screened(policy: Policy, events: Sequence[Event], before: str = "") -> list[Event]:
    moderator = Moderator(Classifiers([CLASSIFIER]))

    async def run() -> list[Event]:
        async def decide(text: str) -> Decision:
            return await moderator.decide(text, [policy], "output")

        screen, released = Screen(decide, moderator.mask, before, bool(policy.terms)), []
        for event in events:
            released += await screen.feed(event)
            if screen.refused:
                break
        return released

    return asyncio.run(run())


def answer(pieces: Sequence[str], make: Callable[[str], Event] = lambda text: TextDelta(0, text)) -> list[Event]:
    return [
        Started(Usage(input=5)),
        BlockStarted(0, Text("")),
        *map(make, pieces),
        BlockStopped(0),
        Finished("end_turn", Usage(input=5, output=len(pieces))),
    ]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@settings(max_examples=150, deadline=None)
@given(said, st.lists(st.integers(0, 500), max_size=30), st.sampled_from([BLOCK, TAKE_OUT, TERM]))
def test_what_is_released_does_not_depend_on_how_the_text_came(text: str, cuts: list[int], policy: Policy) -> None:
    whole, pieces = screened(policy, answer([text])), screened(policy, answer(chopped(text, cuts)))
    assert text_of(whole) == text_of(pieces)
    assert [e.stop for e in whole if isinstance(e, Finished)] == [e.stop for e in pieces if isinstance(e, Finished)]


@settings(max_examples=150, deadline=None)
@given(said, st.lists(st.integers(0, 500), max_size=30))
def test_nothing_from_a_blocked_word_on_is_released(text: str, cuts: list[int]) -> None:
    released = screened(BLOCK, answer(chopped(text, cuts)))
    before = text.split("vile")[0]
    if "vile" in text:
        assert before.startswith(text_of(released))
        assert "refusal" == fold(released).stop
    else:
        assert text == text_of(released)
        assert "end_turn" == fold(released).stop


@settings(max_examples=100, deadline=None)
@given(said, st.lists(st.integers(0, 500), max_size=30))
def test_what_is_masked_is_gone_and_the_rest_is_there(text: str, cuts: list[int]) -> None:
    released = text_of(screened(TAKE_OUT, answer(chopped(text, cuts))))
    assert "vile" not in released
    assert "project zeus" not in " ".join(released.split())
    if "vile" not in text and "zeus" not in text:
        assert text == released
    assert released.replace(MASK, "").strip() == "" or "end_turn" == fold(screened(TAKE_OUT, answer([text]))).stop


@settings(max_examples=100, deadline=None)
@given(said, st.lists(st.integers(0, 500), max_size=30))
def test_no_more_than_a_sentence_or_fifty_tokens_are_held(text: str, cuts: list[int]) -> None:
    holding, come, gone = Holding(), "", 0
    for piece in chopped(text, cuts):
        holding.add(piece)
        come += piece
        while cut := holding.next():
            holding.release(cut)
            gone += cut.free
        held = come[gone:]
        assert FULL > sum(1 if char.isascii() else 4 for char in held)
        assert ". " not in held


def test_the_first_words_are_not_late() -> None:
    released = screened(
        BLOCK, [Started(Usage()), BlockStarted(0, Text("")), TextDelta(0, "These are the first of many words")]
    )
    assert "These are the " == text_of(released)


def test_a_doubt_in_the_middle_of_a_sentence_waits_for_its_end() -> None:
    moderated = Policy("x", "1", {"hate": Bound("block")})
    text = "It is a vile thing to say of anyone at all"
    assert "" == text_of(screened(moderated, answer([text])[:-2]))


def test_a_block_that_is_open_is_closed_and_the_end_says_why() -> None:
    kinds = screened(BLOCK, answer(["Good so far. ", "Then a vile word. ", "And more."]))
    assert ["Started", "BlockStarted", "TextDelta", "BlockStopped", "Finished"] == [type(e).__name__ for e in kinds]
    end = kinds[-1]
    assert isinstance(end, Finished) and end.refused is not None
    assert ("refusal", "output", ("block@1",), ("hate",)) == (
        end.stop, end.refused.side, end.refused.policies, end.refused.reasons
    )  # fmt: skip
    assert (5, 2) == (end.usage.input, end.usage.output)
    assert "vile" not in repr(kinds)


def test_an_answer_that_begins_badly_has_no_block_at_all() -> None:
    assert ["Started", "Finished"] == [type(e).__name__ for e in screened(BLOCK, answer(["Vile. ", "More."]))]


def test_a_pattern_is_found_across_the_places_where_text_is_cut() -> None:
    text = "Here are some words that come before the number 4111 1111 1111 1111 and some that come after it."
    for size in (1, 7, 100):
        released = text_of(screened(TERM, answer(chopped(text, range(0, 200, size)))))
        assert "4111" not in released and text.startswith(released)


def test_what_an_answer_continues_is_judged_with_it() -> None:
    assert "refusal" == fold(screened(TERM, answer(["zeus is here. "]), before="about project ")).stop


def call(*pieces: str) -> list[Event]:
    begun, end = BlockStarted(0, ToolUse("t", "send", {})), Finished("tool_use", Usage())
    return [Started(Usage()), begun, *(InputDelta(0, piece) for piece in pieces), BlockStopped(0), end]


@pytest.mark.parametrize(
    "written", ['{"to": "a", "text": "a vile thing"}', '{"text": "a v\\u0069le thing"}', '{"vile": 1}']
)
def test_a_call_with_a_blocked_word_is_never_seen(written: str) -> None:
    assert ["Started", "Finished"] == [type(e).__name__ for e in screened(BLOCK, call(written[:9], written[9:]))]


def test_a_harmless_call_passes_as_it_was_written() -> None:
    events = call('{"te', 'xt": "fine"}')
    assert events == screened(BLOCK, events)


def test_arguments_are_masked_where_they_stand() -> None:
    (use,) = fold(screened(TAKE_OUT, call('{"text": "of vile things", "n": [1, "ok"]}'))).content
    assert isinstance(use, ToolUse)
    assert {"text": f"of {MASK} things", "n": [1, "ok"]} == use.input


def test_thoughts_are_judged_and_keep_no_signature_of_what_was_taken_out() -> None:
    def thought(text: str) -> list[Event]:
        return [
            Started(Usage()), BlockStarted(0, Thinking("")), ThinkingDelta(0, text), SignatureDelta(0, "signed"),
            BlockStopped(0), Finished("end_turn", Usage()),
        ]  # fmt: skip

    refused = fold(screened(BLOCK, thought("a vile thought")))
    assert ("refusal", ()) == (refused.stop, refused.content)
    assert (Thinking("a good thought", "signed"),) == fold(screened(BLOCK, thought("a good thought"))).content
    assert (Thinking(f"a {MASK} thought", ""),) == fold(screened(TAKE_OUT, thought("a vile thought"))).content


def test_what_a_server_s_tool_said_is_judged() -> None:
    result = ServerToolResult("t", (Text("vile news"),))
    events: list[Event] = [Started(Usage()), BlockStarted(0, result), BlockStopped(0), Finished("end_turn", Usage())]
    assert ["Started", "Finished"] == [type(e).__name__ for e in screened(BLOCK, events)]
    (masked,) = fold(screened(TAKE_OUT, events)).content
    assert ServerToolResult("t", (Text(f"{MASK} news"),)) == masked


@given(st.lists(st.sampled_from(["good ", "words. ", "and ", "more "]), min_size=1, max_size=20))
def test_log_probabilities_come_with_their_text_and_none_early(pieces: list[str]) -> None:
    def delta(text: str) -> Event:
        return TextDelta(0, text, (TokenLogprob(1, text, -1.0),))

    seen, told = "", ""
    for event in screened(BLOCK, answer(pieces, delta)):
        if isinstance(event, TextDelta):
            seen += event.text
            told += "".join(each.text for each in event.logprobs)
            assert seen.startswith(told)
    assert seen == told == "".join(pieces)


def test_log_probabilities_of_what_is_refused_are_not_told() -> None:
    pieces = [TextDelta(0, text, (TokenLogprob(1, text, -1.0),)) for text in ("Good. ", "vile ", "word. ")]
    events = [Started(Usage()), BlockStarted(0, Text("")), *pieces, BlockStopped(0), Finished("end_turn", Usage())]
    assert "vile" not in json.dumps([repr(event) for event in screened(BLOCK, events)])


def lengths(events: Sequence[Event]) -> Any:
    return [len(event.text) for event in events if isinstance(event, TextDelta)]


def test_other_scripts_count_for_more() -> None:
    assert max(lengths(screened(BLOCK, answer(["字" * 400])))) <= FULL // 4


def test_citations_stay_behind_the_words_that_they_are_of() -> None:
    def cited(*pieces: str) -> list[Event]:
        middle: list[Event] = [
            CitationDelta(0, {"cited_text": piece}) if piece.startswith("<") else TextDelta(0, piece)
            for piece in pieces
        ]
        return [Started(Usage()), BlockStarted(0, Text("")), *middle, BlockStopped(0), Finished("end_turn", Usage())]

    released = screened(BLOCK, cited("Grass ", "is green.", "<1>", " Snow is white.", "<2>", "<3>"))
    told = [e.text if isinstance(e, TextDelta) else e.citation["cited_text"] for e in released[2:-2]]  # type: ignore[union-attr]
    assert "Grass is green.<1> Snow is white.<2><3>" == "".join(told)
    assert "BlockStarted" == type(released[1]).__name__
