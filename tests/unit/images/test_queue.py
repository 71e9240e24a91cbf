"""Whose picture is next: fair, bounded in its love of loaded models, and nothing lost."""

from hypothesis import given
from hypothesis import strategies as st

from haiga.services.images.queue import Queue, Waiting

JOBS = st.lists(
    st.builds(
        Waiting,
        st.just(""),
        st.sampled_from("abc"),
        st.sampled_from(["sd", "xl", "flux"]),
        st.integers(0, 1),
    ),
    max_size=20,
)


def queued(*jobs: tuple[str, str], patience: int = 4) -> Queue:
    """A queue of jobs, each given as its id, which begins with its owner, and its model."""
    queue = Queue(patience)
    for id, model in jobs:
        queue.add(Waiting(id, id[0], model))
    return queue


def order(queue: Queue, *loaded: str) -> list[str]:
    return [job.id for job in iter(lambda: queue.take(loaded), None)]


def test_owners_take_turns() -> None:
    assert ["a1", "b1", "a2", "b2", "a3"] == order(queued(*((id, "sd") for id in ("a1", "a2", "a3", "b1", "b2"))))


def test_a_loaded_model_goes_first_but_nobody_waits_for_ever() -> None:
    queue = queued(("a1", "xl"), *((f"b{n}", "sd") for n in range(5)), patience=2)
    assert ["b0", "b1", "a1", "b2", "b3", "b4"] == order(queue, "sd")


def test_higher_priorities_go_first() -> None:
    queue = queued(("a1", "sd"), ("b1", "sd"))
    queue.add(Waiting("c1", "c", "xl", priority=1))
    assert ["c1", "a1", "b1"] == order(queue, "sd")


def test_what_is_late_is_taken_out() -> None:
    queue = queued(("a1", "sd"))
    queue.add(Waiting("b1", "b", "sd", deadline=10.0))
    assert ([], ["b1"]) == ([job.id for job in queue.expired(10.0)], [job.id for job in queue.expired(10.1)])
    assert ["a1"] == order(queue)


@given(JOBS, st.sets(st.sampled_from(["sd", "xl"])), st.integers(0, 3))
def test_every_job_comes_out_once_and_each_owners_in_order(
    jobs: list[Waiting], loaded: set[str], patience: int
) -> None:
    queue = Queue(patience)
    named = [Waiting(f"{n:02}", job.owner, job.model, job.priority) for n, job in enumerate(jobs)]
    for job in named:
        queue.add(job)
    positions = [queue.position(job.id) for job in named]
    assert list(range(len(named))) == sorted(position for position in positions if position is not None)
    taken = list(iter(lambda: queue.take(loaded), None))
    assert [job.id for job in named] == sorted(job.id for job in taken)
    for owner in "abc":
        for priority in (0, 1):
            ids = [job.id for job in taken if (job.owner, job.priority) == (owner, priority)]
            assert sorted(ids) == ids


@given(JOBS, st.data())
def test_what_is_removed_is_gone(jobs: list[Waiting], data: st.DataObject) -> None:
    queue = Queue()
    for n, job in enumerate(jobs):
        queue.add(Waiting(str(n), job.owner, job.model, job.priority))
    gone = data.draw(st.sets(st.sampled_from([str(n) for n in range(len(jobs))]))) if jobs else set()
    assert all(queue.remove(id) for id in gone)
    assert all(queue.position(id) is None for id in gone)
    assert len(jobs) - len(gone) == len(queue) == len(order(queue))
