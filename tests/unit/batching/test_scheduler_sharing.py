"""What requests share: prefixes, what they were pinned for, and what is billed for them."""

from dataclasses import replace

import numpy as np
import pytest

from haiga.batching.sequence import Breakpoint, bill
from haiga.core.generation import Usage
from haiga.core.pictures import Seen
from tests.unit.batching.simulation import Simulation, request

FIVE_MINUTES, ONE_HOUR = 300.0, 3600.0


def test_a_second_request_reuses_the_full_blocks_of_a_shared_prefix() -> None:
    simulation = Simulation()
    for name, tail in (("a", 50), ("b", 60)):
        simulation.add(request(name, (*range(10), tail)))
        simulation.drain(20)
    assert 8 == simulation.records["b"].usage.cache_read


def test_the_last_token_of_a_cached_prompt_is_computed_and_not_billed_as_written() -> None:
    simulation = Simulation()
    for name in ("a", "b"):
        simulation.add(request(name, 8, breakpoints=(Breakpoint(8, FIVE_MINUTES),)))
        simulation.drain(20)
    assert Usage(creation_5m=8, output=3) == simulation.records["a"].usage
    assert Usage(input=4, cache_read=4, output=3) == simulation.records["b"].usage


def test_the_next_turn_of_a_conversation_reuses_the_answer() -> None:
    simulation = Simulation()
    simulation.add(request("a", 10, max_tokens=7))
    simulation.drain(20)
    answer = simulation.records["a"].tokens
    simulation.add(request("b", (*range(10), *answer, 1, 2, 3)))
    simulation.drain(20)
    assert 16 == simulation.records["b"].usage.cache_read


def test_requests_in_flight_share_what_one_of_them_computes() -> None:
    simulation = Simulation(blocks=40, budget=8)
    for name in ("a", "b", "c"):
        simulation.add(request(name, (*range(30), ord(name))))
    simulation.drain(40)
    assert [0, 28, 28] == [simulation.records[name].usage.cache_read for name in ("a", "b", "c")]


def test_an_interactive_request_does_not_wait_for_batch_work_to_compute_its_prefix() -> None:
    simulation = Simulation(blocks=40, budget=8)
    simulation.add(request("batch", 40, priority="batch"))
    simulation.step()
    simulation.add(request("now", 30))
    assert "now" in {sequence.request.id for sequence in simulation.step().sequences}


def test_different_salts_and_different_pictures_share_nothing() -> None:
    simulation = Simulation(blocks=40)

    def seen(place: int, digest: bytes) -> dict[str, tuple[Seen, ...]]:
        return {"pictures": (Seen(digest, ((place, 2),), np.zeros((2, 4), np.float32)),)}

    variants = [{}, {"salt": b"other"}, seen(2, b"cat"), seen(2, b"dog"), seen(6, b"dog")]
    for index, fields in enumerate(variants):
        simulation.add(request(str(index), 10, **fields))
        simulation.drain(20)
    assert [0, 0, 0, 0, 4] == [simulation.records[str(index)].usage.cache_read for index in range(5)]


def test_after_a_forced_eviction_nothing_is_read() -> None:
    simulation = Simulation()
    for name in ("a", "b"):
        simulation.add(request(name, 12))
        simulation.drain(20)
        simulation.pool.clear()
    assert 0 == simulation.records["b"].usage.cache_read


def churn(simulation: Simulation, start: int) -> None:
    """Enough other work to evict everything that is not pinned."""
    for index in range(start, start + 300, 100):
        simulation.add(request(f"churn {index}", 40, start=index))
        simulation.drain(20)


def test_a_pinned_prefix_lives_for_its_time_after_each_use_and_no_longer() -> None:
    simulation = Simulation(blocks=16)
    pinned = request("first", 14, breakpoints=(Breakpoint(13, FIVE_MINUTES),))
    reads = []
    for name, at in (("first", 0), ("just in time", 290), ("refreshed", 580), ("too late", 890)):
        simulation.now = at
        churn(simulation, start=1000 * (at + 1))
        simulation.add(replace(pinned, id=name, breakpoints=pinned.breakpoints if name == "first" else ()))
        simulation.drain(20)
        reads.append(simulation.records[name].usage.cache_read)
    assert [0, 12, 12, 0] == reads


def test_a_breakpoint_pins_what_is_cached_already() -> None:
    simulation = Simulation(blocks=16)
    simulation.add(request("plain", 14))
    simulation.drain(20)
    simulation.add(request("marked", 14, breakpoints=(Breakpoint(12, FIVE_MINUTES),)))
    simulation.drain(20)
    churn(simulation, start=1000)
    simulation.add(request("again", 14))
    simulation.drain(20)
    assert 12 == simulation.records["again"].usage.cache_read


def test_a_long_answer_does_not_make_its_prompts_pin_longer() -> None:
    simulation = Simulation(blocks=24)
    simulation.add(request("long", 9, max_tokens=20, breakpoints=(Breakpoint(8, FIVE_MINUTES),)))
    while simulation.busy:
        simulation.step()
        simulation.now += 30
    churn(simulation, start=1000)
    churn(simulation, start=2000)
    simulation.add(request("again", 9))
    simulation.drain(20)
    assert 0 == simulation.records["again"].usage.cache_read


def test_pins_never_keep_a_request_from_running() -> None:
    simulation = Simulation(blocks=16)
    for index in range(4):
        simulation.add(request(str(index), 16, 1, 100 * index, breakpoints=(Breakpoint(16, ONE_HOUR),)))
        simulation.drain(10)
    simulation.add(request("large", 60, max_tokens=3, start=5000))
    simulation.drain(20)
    assert "max_tokens" == simulation.records["large"].stop


@pytest.mark.parametrize(
    ("points", "reused", "cached", "expected"),
    [
        ([], 0, 0, Usage(input=42)),
        ([], 8, 8, Usage(input=34, cache_read=8)),
        ([Breakpoint(21, FIVE_MINUTES)], 0, 0, Usage(input=22, creation_5m=20)),
        ([Breakpoint(21, ONE_HOUR), Breakpoint(42, FIVE_MINUTES)], 8, 8, Usage(2, 20, 12, 8)),
        ([Breakpoint(21, ONE_HOUR), Breakpoint(42, FIVE_MINUTES)], 24, 24, Usage(2, 16, 0, 24)),
        ([Breakpoint(42, ONE_HOUR), Breakpoint(21, FIVE_MINUTES)], 0, 0, Usage(2, 0, 40, 0)),
        ([Breakpoint(3, ONE_HOUR)], 0, 0, Usage(input=42)),
        ([Breakpoint(40, FIVE_MINUTES)], 36, 40, Usage(input=6, cache_read=36)),
    ],
)
def test_the_bill_says_what_was_written_for_how_long(
    points: list[Breakpoint], reused: int, cached: int, expected: Usage
) -> None:
    assert expected == bill(request("a", 42, breakpoints=tuple(points)), reused, cached, 4)
