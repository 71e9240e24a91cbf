"""Adapters in the scheduler: so many at once, nobody starves, rows and addresses carry them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from haiga.batching.blocks import BlockPool
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.models.adapters import split


@dataclass(frozen=True, slots=True)
class Named:
    key: str
    ranks: Mapping[str, int] = field(default_factory=dict)

    def write(self, layer: str, down: Any, up: Any) -> None:
        raise NotImplementedError


def request(name: str, adapter: str | None, **more: Any) -> Request:
    return Request(name, tuple(range(6)), 50, salt=name.encode(), adapter=Named(adapter) if adapter else None, **more)


def scheduler(slots: int = 2, patience: int = 64) -> Scheduler:
    return Scheduler(BlockPool(400, 4), 64, 16, 80, patience=patience, slots=slots)


def step(scheduler: Scheduler, token: int = 1) -> list[str]:
    """Who ran."""
    plan = scheduler.plan(0.0)
    scheduler.commit(plan, [[token] for _ in plan.sampled], 0.0)
    return [sequence.request.id for sequence in plan.sequences]


def test_a_row_says_its_adapter() -> None:
    schedule = scheduler()
    schedule.add(request("a", "red"))
    schedule.add(request("b", None))
    assert ["red", None] == [row.adapter.key if row.adapter else None for row in schedule.plan(0.0).rows]


def test_one_adapter_too_many_waits_and_others_pass_it_by() -> None:
    schedule = scheduler(slots=2)
    for name, adapter in (("a", "red"), ("b", "blue"), ("c", "green"), ("d", "red"), ("e", None)):
        schedule.add(request(name, adapter))
    assert ["a", "b", "d", "e"] == step(schedule)
    schedule.abort("b")
    assert "c" in step(schedule)


def test_who_waits_for_a_slot_is_not_passed_by_for_ever() -> None:
    schedule = scheduler(slots=1, patience=3)
    schedule.add(request("a", "red"))
    schedule.add(request("late", "green"))
    for at in range(8):
        schedule.add(request(f"more {at}", "red"))
        ran = step(schedule)
    assert {"a", "more 0", "more 1", "more 2"} == set(ran)
    for name in ran:
        schedule.abort(name)
    assert "late" in step(schedule)
    schedule.check_integrity()


def test_an_interactive_request_has_a_slot_that_batch_ones_have() -> None:
    schedule = scheduler(slots=1)
    schedule.add(request("batch", "red", priority="batch"))
    assert ["batch"] == step(schedule)
    schedule.add(request("now", "green"))
    assert ["now"] == step(schedule)
    schedule.abort("now")
    assert ["batch"] == step(schedule)
    schedule.check_integrity()


def test_rows_of_much_differing_length_run_in_parts() -> None:
    assert [[0, 1, 2]] == split(["a", "b", None], [64, 60, 500], most=8)
    assert [[0, 3], [1, 2]] == split(["a", "b", "c", None], [500, 1, 1, 1], most=8)
    assert [[0, 1], [2]] == split(["a", "b", "c"], [1, 1, 1], most=2)
    assert [[0, 1]] == split([None, None], [5, 1], most=2)
