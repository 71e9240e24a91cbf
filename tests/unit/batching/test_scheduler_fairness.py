"""Who runs when not all can: nobody waits for ever, and interactive work hardly at all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.batching.step import share
from tests.unit.batching.simulation import Simulation, bound, request


@given(st.lists(st.integers(1, 200), max_size=8), st.integers(1, 100))
def test_a_share_is_never_more_than_the_gap_and_the_budget_is_used_up(gaps: list[int], budget: int) -> None:
    shares = share(gaps, budget)
    assert all(0 <= given <= gap for given, gap in zip(shares, gaps, strict=True))
    assert min(budget, sum(gaps)) == sum(shares)
    assert not gaps or shares[0] >= min(gaps[0], budget / 2)


def test_the_oldest_prefill_gets_half_and_the_shortest_come_next() -> None:
    assert [50, 0, 30, 20] == share([500, 300, 40, 20], 100)


def test_a_long_prompt_and_short_ones_that_come_later_both_go_on() -> None:
    simulation = Simulation(blocks=200, budget=16, rows=4)
    simulation.add(request("long", 200))
    for index in range(12):
        simulation.add(request(str(index), 8, max_tokens=1, start=1000 + 50 * index))
        simulation.step()
    assert [True] * 12 == [simulation.records[str(index)].ended is not None for index in range(12)]
    simulation.drain(20)
    assert simulation.records["long"].ended <= 200 // 8 + 4


def test_batch_work_gives_way_within_one_step() -> None:
    simulation = Simulation(blocks=12, budget=16, rows=2)
    for index in range(3):
        simulation.add(request(f"batch {index}", 16, max_tokens=8, start=100 * index, priority="batch"))
    for _ in range(4):
        simulation.step()
    simulation.add(request("now", 40, max_tokens=2, start=1000))
    plan = simulation.step()
    assert ["now"] == [sequence.request.id for sequence in plan.sequences]
    assert [16] == [len(row.tokens) for row in plan.rows]
    simulation.drain(100)


def test_batch_answers_sit_out_while_an_interactive_prompt_is_computed_and_keep_their_blocks() -> None:
    simulation = Simulation(blocks=24, budget=16, rows=4)
    simulation.add(request("batch", 4, max_tokens=9, priority="batch"))
    simulation.step()
    simulation.add(request("now", 20, max_tokens=2, start=1000))
    ran = [[sequence.request.id for sequence in simulation.step().sequences] for _ in range(3)]
    assert [["now"], ["now"], ["now", "batch"]] == ran
    assert 0 == simulation.scheduler.preemptions


def test_a_step_of_batch_prompts_is_short_whoever_else_is_there_since_an_interactive_request_may_come() -> None:
    simulation = Simulation(blocks=24, budget=16, rows=4)
    simulation.add(request("batch", 20, max_tokens=1, priority="batch"))
    assert [2] * 10 == [len(simulation.step().rows[0].tokens) for _ in range(10)]


def test_a_promoted_batch_answer_does_not_shorten_the_steps_of_interactive_prompts() -> None:
    simulation = Simulation(blocks=24, budget=16, rows=4, patience=1)
    simulation.add(request("batch", 2, max_tokens=9, priority="batch"))
    simulation.step()
    simulation.add(request("first", 16, max_tokens=1, start=1000))
    simulation.step()
    simulation.add(request("second", 15, max_tokens=1, start=2000))
    plan = simulation.step()
    assert [("batch", 1), ("second", 15)] == [
        (sequence.request.id, len(row.tokens)) for row, sequence in zip(plan.rows, plan.sequences, strict=True)
    ]


def test_batch_work_takes_no_blocks_that_an_interactive_request_waits_for() -> None:
    simulation = Simulation(blocks=12, budget=16, rows=4)
    simulation.add(request("first", 24, max_tokens=9))
    simulation.step()
    simulation.add(request("second", 32, start=100))
    simulation.add(request("batch", 4, start=500, priority="batch"))
    while "second" not in (running := {sequence.request.id for sequence in simulation.step().sequences}):
        assert {"first"} == running
    simulation.drain(20)


def test_prefill_takes_a_quarter_beside_an_answer_and_all_of_it_otherwise() -> None:
    simulation = Simulation(blocks=64, budget=32)
    simulation.add(request("chat", 8, max_tokens=3))
    simulation.step()
    simulation.add(request("long", 200, start=500))
    taken = [[len(row.tokens) for row in simulation.step().rows] for _ in range(3)]
    assert [[1, 8], [1, 8], [32]] == taken


def test_batch_prefill_takes_an_eighth_beside_interactive_work() -> None:
    simulation = Simulation(blocks=64, budget=32)
    simulation.add(request("chat", 8, max_tokens=20))
    simulation.step()
    simulation.add(request("batch", 100, start=500, priority="batch"))
    assert [1, 4] == [len(row.tokens) for row in simulation.step().rows]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 3),
    blocks=st.integers(10, 16),
    batch=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    chat=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 6)), min_size=1, max_size=4),
)
def test_batch_work_ends_under_interactive_load_without_end(
    rows: int, blocks: int, batch: list[int], chat: list[tuple[int, int]]
) -> None:
    simulation = Simulation(blocks, budget=8, rows=rows, patience=5)
    requests = [request(f"b{i}", size, 4, 9000 + 100 * i, priority="batch") for i, size in enumerate(batch)]
    for each in requests:
        simulation.add(each)
    # Those that can be ahead of a promoted batch sequence are the ones that came before it: `backlog` of them.
    backlog = rows + 2
    slowest = [request("", size, count) for size, count in chat] * backlog
    limit = len(batch) * (5 + bound([*slowest, *requests], 8, rows))
    while not all(simulation.records[each.id].ended for each in requests):
        assert simulation.steps < limit, "batch work starves"
        while (
            sum(1 for r in simulation.records.values() if r.request.priority == "interactive" and not r.stop) < backlog
        ):
            size, count = chat[len(simulation.records) % len(chat)]
            simulation.add(request(f"c{len(simulation.records)}", size, count, 100 * len(simulation.records)))
        running = [sequence.request.priority for sequence in simulation.step().sequences]
        assert running.count("batch") <= 1, "more than one was promoted"
