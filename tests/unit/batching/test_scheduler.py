"""What the scheduler promises: everybody gets the answer they would get alone, in bounded time, and no block leaks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.batching.local import least_blocks
from haiga.batching.sequence import Breakpoint, Request, bill
from haiga.batching.step import share
from haiga.core.errors import Invalid
from haiga.core.generation import Usage
from haiga.core.pictures import Seen
from haiga.core.ports import Horizon
from tests.unit.batching.cold_store import ColdStore
from tests.unit.batching.simulation import Simulation

FIVE_MINUTES, ONE_HOUR = 300.0, 3600.0


def request(
    name: str, prompt: int | tuple[int, ...] = 10, max_tokens: int = 3, start: int = 0, **fields: object
) -> Request:
    """A request; a number for a prompt means that many tokens counted up from `start`."""
    tokens = tuple(range(start, start + prompt)) if isinstance(prompt, int) else prompt
    return replace(Request(name, tokens, max_tokens), **fields)


def bound(requests: list[Request], budget: int, rows: int) -> int:
    """Steps that are enough for all of them: the oldest gets half of what decodes leave (a batch one, of its part of
    the budget), then a token per step; twice that, since what is sent back is computed again."""
    rate = {"interactive": (budget - rows + 2) // 2, "batch": max(1, budget // 16)}
    known = [(each, len(each.prompt) + each.max_tokens) for each in requests]
    return 2 * sum(-(-tokens // rate[each.priority]) + each.max_tokens + 2 for each, tokens in known)


prompts = st.builds(
    lambda text, shared, tail: tuple(range(100 * text, 100 * text + shared)) + tuple(tail),
    st.integers(0, 2),
    st.integers(1, 24),
    st.lists(st.integers(0, 2), max_size=8),
)
arrivals = st.tuples(
    st.integers(0, 6),
    st.builds(
        Request,
        id=st.just(""),
        prompt=prompts,
        max_tokens=st.integers(0, 10),
        end=st.sampled_from([frozenset(), frozenset(range(8))]),
        priority=st.sampled_from(["interactive", "batch"]),
        salt=st.sampled_from([b"", b"other"]),
        breakpoints=st.lists(
            st.builds(Breakpoint, st.integers(0, 24), st.sampled_from([ONE_HOUR, FIVE_MINUTES])), max_size=2
        ).map(tuple),
        scored=st.booleans(),
    ),
)
GUESSES = st.lists(st.integers(0, 60), max_size=8)


horizons = st.builds(Horizon, st.integers(1, 14)) | st.builds(Horizon, st.sampled_from([4, 8, 12]), st.just(True))


@settings(max_examples=200, deadline=None)
@given(
    load=st.lists(arrivals, min_size=1, max_size=10),
    blocks=st.integers(9, 24),
    budget=st.integers(4, 24),
    rows=st.integers(1, 4),
    aborts=st.sets(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=3),
    guesses=st.lists(GUESSES, min_size=10, max_size=10),
    horizon=st.none() | horizons,
    spare=st.integers(0, 12),
    lost=st.none() | st.sets(st.integers(1, 30), max_size=8),
    at_once=st.integers(1, 4),
)
def test_any_load_gives_the_answers_of_each_alone_and_leaks_nothing(
    load: list[tuple[int, Request]],
    blocks: int,
    budget: int,
    rows: int,
    aborts: set[tuple[int, int]],
    guesses: list[list[int]],
    horizon: Horizon | None,
    spare: int,
    lost: set[int] | None,
    at_once: int,
) -> None:
    near = least_blocks(horizon, budget, 4) + spare if horizon else 0
    cold = None if lost is None else ColdStore(lost.__contains__, at_once)
    simulation = Simulation(blocks, budget, rows, horizon=horizon, local_blocks=near, cold=cold)
    queued = [
        (pause, predicted(simulation, replace(each, id=str(index), prompt=each.prompt[:32]), guesses[index]))
        for index, (pause, each) in enumerate(load)
    ]
    limit = bound([each for _, each in queued], budget, rows) + simulation.scheduler.patience + len(load) * 6
    limit += 1000 if cold else 0  # blocks that come back one by one
    pending = list(queued)
    wait = 0
    while pending or simulation.busy:
        assert simulation.steps < limit, "somebody starves"
        while pending and wait >= pending[0][0]:
            simulation.add(pending.pop(0)[1])
            wait = 0
        for step, which in aborts:
            if step == simulation.steps and str(which) in simulation.records:
                simulation.abort(str(which))
        if simulation.busy:
            simulation.step()
        wait += 1
        simulation.now += 40
    assert (blocks, near) == (simulation.pool.free_count, simulation.local.free_count)
    for record in simulation.records.values():
        assert simulation.alone(record.request) == record.tokens
        assert record.usage and len(record.request.prompt) == record.usage.prompt
        assert len(record.tokens) == record.usage.output
        if record.request.scored:
            places = [place for id, place in simulation.scored if id == record.request.id]
            prompt = len(record.request.prompt)
            assert list(range(1, prompt)) == [place for place in places if place < prompt]


def predicted(simulation: Simulation, request: Request, wrong: list[int]) -> Request:
    """The request with its own answer predicted, but for some tokens that are wrong; without `wrong` none is."""
    answer = simulation.alone(request)
    guess = [49 - token if at in wrong else token for at, token in enumerate(answer)]
    return replace(request, prediction=tuple(guess) if wrong else ())


@settings(max_examples=100, deadline=None)
@given(wrong=st.sets(st.integers(0, 40)), shift=st.integers(0, 6), noise=st.lists(st.integers(0, 49), max_size=4))
def test_a_prediction_saves_steps_and_changes_nothing(wrong: set[int], shift: int, noise: list[int]) -> None:
    simulation = Simulation(blocks=40, budget=200)
    plain = request("a", 9, max_tokens=40)
    answer = simulation.alone(plain)
    guess = [49 - token if at in wrong else token for at, token in enumerate(answer)]
    simulation.add(replace(plain, prediction=(*noise, *guess[shift:])))
    simulation.drain(41)
    record = simulation.records["a"]
    assert answer == record.tokens
    assert record.usage
    assert 40 - record.usage.accepted == simulation.steps
    assert record.computed == 9 + 39 + record.usage.rejected


def test_a_right_prediction_takes_a_few_steps_for_all_of_it() -> None:
    simulation = Simulation(blocks=40, budget=200)
    plain = request("a", 9, max_tokens=40)
    simulation.add(replace(plain, prediction=tuple(simulation.alone(plain))))
    simulation.drain(41)
    record = simulation.records["a"]
    assert record.usage
    assert (0, 40 - simulation.steps) == (record.usage.rejected, record.usage.accepted)
    assert simulation.steps <= 16  # a draft ends with the last block, of four tokens here


def test_prompts_are_scored_few_places_at_a_time() -> None:
    simulation = Simulation(blocks=80, budget=200)
    simulation.add(request("a", 150, scored=True))
    simulation.add(request("b", 20, scored=True))
    plans = [simulation.step() for _ in range(3)]
    assert [64, 64, 42] == [sum(row.sampled for row in plan.rows) for plan in plans]
    simulation.drain(20)


@settings(max_examples=80, deadline=None)
@given(load=st.lists(arrivals, min_size=1, max_size=6), budget=st.integers(6, 24), horizon=st.none() | horizons)
def test_what_is_reported_as_read_was_not_computed(
    load: list[tuple[int, Request]], budget: int, horizon: Horizon | None
) -> None:
    simulation = Simulation(blocks=100, budget=budget, rows=6, horizon=horizon, local_blocks=90)
    for index, (_, each) in enumerate(load):
        simulation.add(replace(each, id=str(index)))
    simulation.drain(500)
    for record in simulation.records.values():
        assert record.usage
        known = len(record.request.prompt) + max(0, len(record.tokens) - 1)
        assert known - record.usage.cache_read == record.computed


# -- layers that see no further than a horizon -------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [Horizon(8), Horizon(8, chunked=True)], ids=["window", "chunks"])
def test_local_layers_hold_what_they_see_however_long_the_text(horizon: Horizon) -> None:
    least = least_blocks(horizon, 8, 4)
    simulation = Simulation(blocks=100, budget=8, horizon=horizon, local_blocks=least)
    simulation.add(request("long", 300, 60))
    held = []
    while simulation.busy:
        simulation.step()
        held.append(least - simulation.local.free_count)
    assert least >= max(held)
    assert simulation.alone(simulation.records["long"].request) == simulation.records["long"].tokens


@pytest.mark.parametrize("horizon", [Horizon(8), Horizon(8, chunked=True)], ids=["window", "chunks"])
def test_the_next_turn_is_reused_where_the_blocks_in_sight_at_its_start_are_still_known(horizon: Horizon) -> None:
    simulation = Simulation(blocks=100, budget=8, horizon=horizon, local_blocks=12)
    simulation.add(request("first", 80, 0))
    simulation.drain(50)
    simulation.add(request("second", 90, 1))
    simulation.drain(50)
    first, second = (simulation.records[name].usage for name in ("first", "second"))
    assert first and second
    assert (0, 80) == (first.cache_read, second.cache_read)


def test_a_prefix_whose_blocks_in_sight_are_gone_is_computed_again_up_to_where_they_are_known() -> None:
    simulation = Simulation(blocks=100, budget=8, horizon=Horizon(8), local_blocks=8)
    simulation.add(request("first", 40, 0))
    simulation.drain(50)
    simulation.add(request("other", 40, 0, start=1000))
    simulation.drain(50)
    simulation.add(request("again", 60, 2))
    simulation.drain(50)
    record = simulation.records["again"]
    assert record.usage
    assert 0 == record.usage.cache_read
    assert simulation.alone(record.request) == record.tokens


def test_a_pool_too_small_for_one_sequence_is_refused() -> None:
    with pytest.raises(Invalid, match="the pool of local layers has 5 blocks, 6 are needed"):
        Simulation(budget=8, horizon=Horizon(8), local_blocks=5)


# -- sharing -----------------------------------------------------------------------------------------------------------


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


# -- fairness ----------------------------------------------------------------------------------------------------------


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


# -- memory ------------------------------------------------------------------------------------------------------------


def test_running_out_of_blocks_sends_the_latest_back_and_changes_no_token() -> None:
    simulation = Simulation(blocks=8, budget=16, rows=3)
    for name in ("a", "b", "c"):
        simulation.add(request(name, 8, max_tokens=14, start=ord(name)))
    simulation.drain(100)
    assert simulation.scheduler.preemptions > 0
    for record in simulation.records.values():
        assert simulation.alone(record.request) == record.tokens
    assert simulation.records["a"].ended < simulation.records["b"].ended < simulation.records["c"].ended


def test_a_prompt_that_could_never_fit_is_refused_by_its_length() -> None:
    simulation = Simulation(blocks=4, context=1000)
    simulation.add(request("fits", 15))
    with pytest.raises(Invalid, match="prompt is too long: 16 tokens > 15 maximum"):
        simulation.add(request("too long", 16))
    with pytest.raises(Invalid, match="no tokens"):
        simulation.add(request("empty", 0))
    with pytest.raises(Invalid, match="already under way"):
        simulation.add(request("fits", 1))


def test_more_rows_than_budget_are_refused() -> None:
    with pytest.raises(Invalid, match="rows must be between 1 and the token budget of 4, not 5"):
        Simulation(budget=4, rows=5)


def test_an_aborted_sequence_gives_its_blocks_back_at_once() -> None:
    simulation = Simulation()
    simulation.add(request("a", 30))
    simulation.step()
    assert 8 == simulation.pool.free_count
    simulation.abort("a")
    assert 16 == simulation.pool.free_count
    assert not simulation.busy
    assert not simulation.scheduler.abort("a")


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "stop", "count"),
    [
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_tokens": 500}, "model_context_window_exceeded", 10),
        ({"max_tokens": 0}, "max_tokens", 0),
    ],
)
def test_a_sequence_stops_for_the_reason_it_says(fields: dict[str, int], stop: str, count: int) -> None:
    simulation = Simulation(context=20)
    simulation.add(request("a", 10, **fields))
    simulation.drain(30)
    assert (stop, count) == (simulation.records["a"].stop, len(simulation.records["a"].tokens))


def test_an_end_token_is_the_last_token() -> None:
    simulation = Simulation()
    third = simulation.runner.alone(range(10), 3)[2]
    simulation.add(request("a", 10, max_tokens=9, end=frozenset({third})))
    simulation.drain(30)
    assert ("end_turn", third) == (simulation.records["a"].stop, simulation.records["a"].tokens[-1])
    assert third not in simulation.records["a"].tokens[:-1]


def test_max_tokens_zero_fills_the_cache() -> None:
    simulation = Simulation()
    simulation.add(request("warm", 12, max_tokens=0, breakpoints=(Breakpoint(12, FIVE_MINUTES),)))
    simulation.drain(5)
    simulation.add(request("real", 14))
    simulation.drain(9)
    assert Usage(creation_5m=12) == simulation.records["warm"].usage
    assert 12 == simulation.records["real"].usage.cache_read


# -- pins and usage ----------------------------------------------------------------------------------------------------


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
