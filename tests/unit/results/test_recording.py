"""An answer's events to bytes and back."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.edits import Cleared
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Echo,
    Event,
    Finished,
    InputDelta,
    Progress,
    PromptToken,
    Reply,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
    fold,
)
from haiga.core.messages import Opaque, Text, Thinking, ToolUse
from haiga.services.results.recording import Recording, replay

WORDS = st.lists(st.text(st.characters(codec=None), max_size=5), max_size=4)
LOGPROBS = st.tuples(st.floats(max_value=0), st.floats(max_value=0)).map(
    lambda both: (TokenLogprob(1, "a", both[0], ((2, "b", both[1]),)),)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["is", "json", "x"]), inner),
    max_leaves=6,
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    echo = Echo("a b", (PromptToken("a", 0), PromptToken(" b", 1, TokenLogprob(1, " b", -1.0))))
    echoed = draw(st.sampled_from([[], [echo]]))
    events: list[Event] = [Started(Usage(input=3)), Progress(1, 2), *echoed]
    for index in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["text", "thinking", "tool"]))
        if kind == "text":
            events.append(BlockStarted(index, Text("")))
            events += [TextDelta(index, word, draw(LOGPROBS)) for word in draw(WORDS)]
        elif kind == "thinking":
            events.append(BlockStarted(index, Thinking("")))
            events += [ThinkingDelta(index, word) for word in draw(WORDS)]
            events.append(SignatureDelta(index, "signed"))
        else:
            given_ = draw(st.dictionaries(st.sampled_from(["is", "json", "x"]), JSON))
            events += [BlockStarted(index, ToolUse("toolu_1", "t", given_)), *pieces(index, draw(WORDS))]
        events.append(BlockStopped(index))
    cleared = draw(st.none() | st.just((Cleared("tool_uses", 2, 30),)))
    return [*events, Finished("stop_sequence", Usage(input=3, output=9), "END", cleared)]


def pieces(index: int, words: Sequence[str]) -> list[Event]:
    return [InputDelta(index, piece) for piece in ('{"a', '": 1}')] if words else []


def recorded(events: Sequence[Event]) -> bytes | None:
    recording = Recording()
    for event in events:
        recording.add(event)
    return recording.bytes()


def as_new(reply: Reply) -> Reply:
    return replace(reply, usage=replace(reply.usage, reused=False))


@given(answers())
def test_what_comes_back_adds_up_to_the_same_answer_marked_as_reused(events: list[Event]) -> None:
    body = recorded(events)
    assert body is not None
    back = replay(body)
    assert repr(fold(events)) == repr(as_new(fold(back)))  # repr: not a number is not itself
    assert [True, True] == [event.usage.reused for event in back if isinstance(event, Started | Finished)]


def test_the_pieces_of_a_block_come_back_as_one() -> None:
    words = [TextDelta(0, "one "), TextDelta(0, "two"), TextDelta(1, "three")]
    body = recorded([BlockStarted(0, Text("")), *words])
    assert body is not None
    assert [BlockStarted(0, Text("")), TextDelta(0, "one two"), TextDelta(1, "three")] == replay(body)


def test_log_probabilities_may_be_infinite() -> None:
    body = recorded([TextDelta(0, "a", (TokenLogprob(1, "a", -math.inf),))])
    assert body is not None
    assert [TextDelta(0, "a", (TokenLogprob(1, "a", -math.inf),))] == replay(body)


def test_an_answer_with_more_in_it_than_a_model_writes_is_not_recorded() -> None:
    assert None is recorded([BlockStarted(0, Opaque("web_search_tool_result"))])


@pytest.mark.parametrize("other", [b"", b"no zlib", zlib.compress(b"no json"), zlib.compress(b'["no event"]')])
def test_other_bytes_are_refused(other: bytes) -> None:
    with pytest.raises((ValueError, TypeError, zlib.error)):
        replay(other)
