"""What the scheduler promises: everybody gets the answer they would get alone, in bounded time, and no block leaks."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.batching.local import least_blocks
from haiga.batching.sequence import Breakpoint, Request
from haiga.core.errors import Invalid
from haiga.core.generation import Usage
from haiga.core.ports import Horizon
from tests.unit.batching.cold_store import ColdStore
from tests.unit.batching.simulation import Simulation, bound, request

FIVE_MINUTES, ONE_HOUR = 300.0, 3600.0


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
