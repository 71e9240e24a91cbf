"""The legal status changes of batches and lines."""

from dataclasses import replace
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from haiga.core.jobs import (
    CHANGES,
    FINAL,
    UNFINISHED,
    Batch,
    Counts,
    LineState,
    before,
    cancel,
    settle,
    verdict,
)

BATCH = Batch("b", "w", "/v1/messages", created_at=100, expires_at=200, status="in_progress", total=3)
EVENTS = st.lists(st.sampled_from(["result", "cancel", "settle", "late"]), max_size=20)


def test_a_line_is_finished_or_not_and_never_leaves_its_result() -> None:
    assert set(get_args(LineState)) == {*FINAL, *UNFINISHED} == set(CHANGES)
    assert {"succeeded", "errored", "canceled", "expired"} == set(FINAL)
    for state in CHANGES:
        assert not set(before(state)) & set(FINAL)
        assert {state in CHANGES[earlier] for earlier in before(state)} <= {True}


def test_every_unfinished_line_can_be_canceled_and_expire() -> None:
    assert set(UNFINISHED) == set(before("canceled")) == set(before("expired"))


@given(EVENTS)
def test_a_batch_ends_exactly_when_every_line_has_its_result_and_then_stays(events: list[str]) -> None:
    batch, now, ended = BATCH, 100, None
    for event in events:
        now += 1
        if event == "result" and batch.counts.done < batch.total:
            batch = replace(batch, counts=replace(batch.counts, succeeded=batch.counts.succeeded + 1))
        elif event == "cancel":
            batch = cancel(batch, now)
        elif event == "settle":
            batch = settle(batch, now)
        elif event == "late":
            now += 100
        if ended is not None:
            assert ended == batch
        ended = batch if batch.status == "ended" else None
        assert (batch.status == "ended") == (batch.ended_at is not None) == batch.readable
        assert batch.status != "ended" or batch.counts.done == batch.total
        assert batch.live == (batch.status != "ended")


def test_canceling_keeps_its_first_time_and_an_ended_batch_its_end() -> None:
    canceling = cancel(BATCH, 110)
    assert ("canceling", 110) == (canceling.status, canceling.cancel_initiated_at)
    assert canceling == cancel(canceling, 120)
    ended = settle(replace(canceling, counts=Counts(canceled=3)), 130)
    assert ("ended", 130) == (ended.status, ended.ended_at)
    assert ended == cancel(ended, 140) == settle(ended, 150)


def test_unfinished_lines_go_on_until_somebody_cancels_or_the_time_is_over() -> None:
    assert [None, None, "expired", "canceled"] == [
        verdict(BATCH, 100),
        verdict(BATCH, 199),
        verdict(BATCH, 200),
        verdict(cancel(BATCH, 110), 200),
    ]
    assert {None} == {verdict(replace(BATCH, status=status), 300) for status in ("receiving", "ended")}  # type: ignore[arg-type]
