"""Texts that run side by side: the oldest always, and those of about its length."""

from hypothesis import given
from hypothesis import strategies as st

from haiga.batching.lengths import LEAST, choose, padded

LENGTHS = st.lists(st.integers(1, 10_000), min_size=1, max_size=50)


@given(st.integers(1, 100_000))
def test_padding_is_at_most_a_quarter_or_sixteen(length: int) -> None:
    assert length <= padded(length) <= max(length * 1.25, length + LEAST - 1)
    assert padded(length) == padded(padded(length))


@given(LENGTHS, st.integers(1, 4096))
def test_the_oldest_goes_and_the_budget_holds(lengths: list[int], budget: int) -> None:
    chosen = choose(lengths, budget)
    assert 0 == chosen[0]
    assert sorted(chosen) == chosen
    assert {padded(lengths[0])} == {padded(lengths[at]) for at in chosen}
    assert len(chosen) == 1 or len(chosen) * padded(lengths[0]) <= budget


def test_texts_of_one_length_go_together_past_others() -> None:
    assert [0, 2, 3] == choose([5, 900, 7, 16, 17], budget=1024)
