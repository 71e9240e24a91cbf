"""Thoughts on their way out and in: signed, hidden, proved."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    Progress,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingRequest,
    Usage,
)
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.services.thoughts import MARK, Shown, Signer
from haiga.stores.secret import kept_secret

SIGNER = Signer(b"a" * 32)
THOUGHT = (BlockStarted(0, Thinking("")), ThinkingDelta(0, "a"), ThinkingDelta(0, "b"))
WORDS = (BlockStarted(0, Text("")), TextDelta(0, "Let me "), TextDelta(0, "see."), BlockStopped(0))
CALL = (BlockStarted(1, ToolUse("toolu_1", "f", {})), BlockStopped(1))
BETWEEN = ThinkingRequest("between_tools")


def shown(events: tuple[Event, ...], thinking: ThinkingRequest = ThinkingRequest("adaptive")) -> list[Event]:
    through = Shown(SIGNER, thinking)
    return [each for event in events for each in through.feed(event)]


@given(st.text())
def test_a_signature_proves_the_thought_and_no_other(thought: str):
    block = Thinking(thought, SIGNER.sign(thought))
    assert block == SIGNER.thought(block, "f")
    with pytest.raises(Invalid, match="f: Invalid `signature` in `thinking` block"):
        SIGNER.thought(Thinking(thought + "!", block.signature), "f")
    with pytest.raises(Invalid):
        Signer(b"b" * 32).thought(block, "f")


@given(st.text(min_size=1))
def test_a_hidden_thought_comes_back_from_its_signature_and_cannot_be_read_in_it(thought: str):
    signature = SIGNER.sign(thought, hidden=True)
    assert thought == SIGNER.thought(Thinking("", signature), "f").thinking
    assert thought == SIGNER.thought(Thinking(thought, signature), "f").thinking
    with pytest.raises(Invalid):
        Signer(b"b" * 32).thought(Thinking("", signature), "f")


@pytest.mark.parametrize("signature", [MARK, f"{MARK}?", f"{MARK}AAAA", f"{MARK}é", f"{MARK}{'A' * 88}"])
def test_whatever_claims_to_be_ours_and_is_not_is_invalid(signature: str):
    for thought in ("", "a", "\ud800"):
        with pytest.raises(Invalid):
            SIGNER.thought(Thinking(thought, signature), "f")


@pytest.mark.parametrize("signature", ["", "EqQBCkYIBxgCKkBx", "haiga"])
def test_other_signatures_are_history(signature: str):
    assert Thinking("a", signature) == SIGNER.thought(Thinking("a", signature), "f")


def test_a_thought_is_signed_as_it_ends():
    assert [*THOUGHT, SignatureDelta(0, SIGNER.sign("ab")), BlockStopped(0)] == shown((*THOUGHT, BlockStopped(0)))


def test_what_an_engine_has_signed_itself_is_left_alone():
    theirs = (*THOUGHT, SignatureDelta(0, "theirs"), BlockStopped(0))
    assert [*theirs] == shown(theirs)


def test_an_omitted_thought_is_only_signed():
    omitted = ThinkingRequest("adaptive", display="omitted")
    signature = SignatureDelta(0, SIGNER.sign("ab", hidden=True))
    assert [THOUGHT[0], signature, BlockStopped(0)] == shown((*THOUGHT, BlockStopped(0)), omitted)


def test_between_tools_words_before_a_call_are_a_thought():
    thought = (
        BlockStarted(0, Thinking("")),
        ThinkingDelta(0, "Let me "),
        ThinkingDelta(0, "see."),
        SignatureDelta(0, SIGNER.sign("Let me see.")),
        BlockStopped(0),
    )
    assert [*thought, *CALL] == shown((*WORDS, *CALL), BETWEEN)


def test_between_tools_other_words_stay_words():
    answer = (Started(Usage()), Progress(1, 2), *WORDS, Finished("end_turn", Usage()))
    assert [*answer] == shown(answer, BETWEEN)
    assert [*CALL, *WORDS] == shown((*CALL, *WORDS, Finished("tool_use", Usage())), BETWEEN)[:-1]


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "new" / "signing.key"
    assert kept_secret(path) == kept_secret(path)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    path.write_bytes(b"short")
    with pytest.raises(Invalid, match=r"signing\.key: not a secret of 32 bytes"):
        kept_secret(path)
