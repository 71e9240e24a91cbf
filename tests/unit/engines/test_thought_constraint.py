"""The bound on thoughts, token by token: a byte is a token here."""

from collections.abc import Sequence

import numpy as np
import pytest

from haiga.engines.native.constraint import ThoughtConstraint
from haiga.engines.native.protocol import Thought

OPEN, CLOSE = "<t>", "</t>"


def bound(budget: int, opened: bool = True, anywhere: bool = False) -> ThoughtConstraint:
    thought = Thought(OPEN, CLOSE, list(CLOSE.encode()), budget, opened, anywhere)
    return ThoughtConstraint(thought, 256, lambda token: bytes([token]), None)


def forced(constraint: ThoughtConstraint) -> int | None:
    """The one token that may come next, None where any may."""
    mask = constraint.mask()
    if mask is None:
        return None
    (token,) = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
    return int(token)


def follow(constraint: ThoughtConstraint, wishes: Sequence[int]) -> str:
    """What is said by who wishes for these tokens, and is forced to others."""
    out = []
    for wish in wishes:
        token = forced(constraint)
        out.append(wish if token is None else token)
        constraint.accept(out[-1])
    return bytes(out).decode()


@pytest.mark.parametrize(
    ("budget", "opened", "wished", "said"),
    [
        (6, True, "aaaaaaaaa", "aa</t>aaa"),
        (4, True, "aaaaaaaaa", "</t>aaaaa"),
        (0, True, "aaaaaaaaa", "</t>aaaaa"),
        (6, True, "a</t>aaaaa", "a</t>aaaaa"),
        (6, True, "a<aaaaaaa", "a</t>aaaa"),
        (6, False, "aaaaaaaaa", "aaaaaaaaa"),
        (6, False, "\n <t>aaaaaaa", "\n <t>aa</t>a"),
        (6, False, "<t aaaaaaa", "<t aaaaaaa"),
        (4, False, "<t></t><t>aaaaa", "<t></t><t></t>a"),
        (9, False, "<t>a</t><t>aaaaaaaa", "<t>a</t><t></t>aaaa"),
        (4, False, "b<t>aaaaaaa", "b<t>aaaaaaa"),
    ],
)
def test_a_thought_ends_with_its_budget_wherever_it_begins(budget: int, opened: bool, wished: str, said: str) -> None:
    assert said == follow(bound(budget, opened), wished.encode())


def test_on_channels_a_thought_may_begin_anywhere() -> None:
    wished = "b<t>aaaaaaaaa<t>aaaaa"
    assert "b<t>a</t>aaaa<t></t>a" == follow(bound(5, opened=False, anywhere=True), wished.encode())


def test_the_budget_is_for_all_thoughts_together() -> None:
    wished = "b<t>a</t>b<t>aaaaaaaaaa"
    assert "b<t>a</t>b<t>aa</t>aaaa" == follow(bound(11, opened=False, anywhere=True), wished.encode())


def test_the_highest_bit_of_a_word_can_be_forced() -> None:
    closing = Thought(OPEN, "\x1f", [31], 1, True)
    assert 31 == forced(ThoughtConstraint(closing, 32, lambda token: bytes([token]), None))
