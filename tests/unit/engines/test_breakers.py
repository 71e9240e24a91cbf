"""Models that fail are left alone, and tried again one request at a time."""

import pytest

from haiga.core.errors import Busy
from haiga.engines.upstream.breaker import FAILURES, MOST, PAUSE, Breakers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def failing(clock: Clock) -> Breakers:
    breakers = Breakers(clock)
    for _ in range(FAILURES):
        breakers.admit("m")
        breakers.failed("m")
    return breakers


def test_after_enough_failures_nobody_is_let_through_until_the_pause_is_over() -> None:
    clock = Clock()
    breakers = failing(clock)
    clock.now += PAUSE / 3
    with pytest.raises(Busy) as refused:
        breakers.admit("m")
    assert PAUSE * 2 / 3 == pytest.approx(refused.value.retry_after)
    breakers.admit("another")


def test_then_one_is_let_through_and_decides() -> None:
    clock = Clock()
    breakers = failing(clock)
    clock.now += PAUSE
    breakers.admit("m")
    with pytest.raises(Busy):
        breakers.admit("m")
    breakers.answered("m")
    for _ in range(3):
        breakers.admit("m")


def test_an_answer_in_between_begins_the_count_again() -> None:
    breakers = Breakers(Clock())
    for _ in range(3 * FAILURES):
        for _ in range(FAILURES - 1):
            breakers.failed("m")
        breakers.answered("m")
        breakers.admit("m")


def test_only_so_many_names_are_remembered() -> None:
    breakers = failing(Clock())
    for i in range(MOST):
        breakers.failed(f"other {i}")
    breakers.admit("m")
