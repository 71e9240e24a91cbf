"""How many may wait for a model, and when the next is told to come back."""

from contextlib import ExitStack

import pytest

from haiga.core.errors import Busy
from haiga.engines.native.queue import Queue


def test_as_many_wait_as_may_and_the_next_is_told_to_come_back() -> None:
    queue = Queue("m", 2)
    with queue.place(), queue.place(), pytest.raises(Busy, match=r"queue of model m is full \(2 requests wait\)"):
        queue.place().__enter__()
    assert 0 == queue.waiting


def test_who_has_begun_waits_no_more_and_who_gave_up_neither() -> None:
    queue = Queue("m", 1)
    with queue.place() as first:
        queue.begin(first)
        queue.begin(first)
        with queue.place():
            assert 1 == queue.waiting
    with queue.place():
        assert 1 == queue.waiting
    assert 0 == queue.waiting


def test_lines_of_batches_neither_wait_here_nor_are_refused() -> None:
    queue = Queue("m", 1)
    with queue.place(), queue.place(counted=False) as line:
        queue.begin(line)
        assert 1 == queue.waiting


@pytest.mark.parametrize("waited, expected", [(0.0, 1.0), (20.0, 20.0), (500.0, 60.0)])
def test_who_is_refused_stays_away_as_long_as_others_waited(waited: float, expected: float) -> None:
    now = 0.0
    queue = Queue("m", 1, lambda: now)
    for _ in range(100):
        with queue.place() as place:
            now += waited
            queue.begin(place)
    with queue.place(), ExitStack() as stack, pytest.raises(Busy) as refused:
        stack.enter_context(queue.place())
    assert expected == pytest.approx(refused.value.retry_after)
