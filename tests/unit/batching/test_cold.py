"""Blocks outside the pool: what comes back is as good as computed, what is lost is computed, nobody waits for it."""

from dataclasses import replace

import pytest

from haiga.batching.blocks import BlockPool, address, mark, root
from haiga.batching.loop import Loop, Output
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Breakpoint, Request
from haiga.core.generation import Sampling, Usage
from haiga.core.ports import Horizon
from tests.unit.batching.cold_store import ColdStore
from tests.unit.batching.hashing_runner import HashingRunner
from tests.unit.batching.simulation import Simulation

PROMPT = tuple(range(42))  # ten full blocks of four, and a half


def ask(name: str, prompt: tuple[int, ...] = PROMPT, max_tokens: int = 3) -> Request:
    return Request(name, prompt, max_tokens)


def run(cold: ColdStore, *requests: Request, horizon: Horizon | None = None) -> Simulation:
    """A fresh engine over what was kept before, until it has answered."""
    simulation = Simulation(blocks=40, budget=8, horizon=horizon, local_blocks=24 if horizon else 0, cold=cold)
    for request in requests:
        simulation.add(request)
    simulation.drain(200)
    for request in requests:
        assert simulation.alone(request) == simulation.records[request.id].tokens
    return simulation


def test_what_an_earlier_engine_computed_is_read_back_and_counts_as_read() -> None:
    cold = ColdStore()
    run(cold, ask("first"))
    again = run(cold, ask("again")).records["again"]
    assert (Usage(input=2, cache_read=40, output=3), 4) == (again.usage, again.computed)


def test_what_fell_out_of_the_pool_is_read_back() -> None:
    simulation = run(cold := ColdStore(), ask("first"))
    simulation.scheduler.clear()
    simulation.add(ask("again"))
    simulation.drain(50)
    assert (10, 40) == (cold.fetched, simulation.records["again"].usage.cache_read)  # type: ignore[union-attr]


def test_what_is_lost_is_computed_and_not_told_as_read() -> None:
    cold = ColdStore(lost=lambda number: number == 6)
    run(cold, ask("first"))
    again = run(cold, ask("again")).records["again"]
    assert (Usage(input=22, cache_read=20, output=3), 24) == (again.usage, again.computed)


def test_blocks_come_from_pool_and_store_in_any_pattern() -> None:
    run(cold := ColdStore(), ask("first"))
    simulation = Simulation(blocks=40, budget=8, cold=cold)
    for key in list(cold.kept)[::2]:
        del cold.kept[key]
    simulation.add(ask("fills the gaps"))
    simulation.drain(50)
    simulation.add(ask("again"))
    simulation.drain(50)
    assert 40 == simulation.records["again"].usage.cache_read  # type: ignore[union-attr]
    assert simulation.alone(ask("again")) == simulation.records["again"].tokens


def test_others_answer_while_blocks_are_read_back() -> None:
    run(cold := ColdStore(), ask("first"))
    cold = replaced(cold, at_once=1)
    simulation = Simulation(blocks=60, budget=8, cold=cold)
    simulation.add(ask("other", tuple(range(100, 106)), max_tokens=20))
    simulation.step()
    simulation.add(ask("again"))
    for _ in range(8):
        assert ["other"] == [sequence.request.id for sequence in simulation.step().sequences]
    simulation.drain(60)


def replaced(cold: ColdStore, **how: int) -> ColdStore:
    """The same blocks in a store of another speed."""
    other = ColdStore(**how)  # type: ignore[arg-type]
    other.kept = cold.kept
    return other


def test_two_that_share_a_beginning_read_it_once() -> None:
    run(cold := ColdStore(), ask("first"))
    run(cold, ask("a"), ask("b"))
    assert 10 == cold.fetched


def test_blocks_that_arrive_for_a_request_that_has_gone_harm_nobody() -> None:
    run(cold := ColdStore(), ask("first"))
    simulation = Simulation(blocks=12, budget=8, cold=replaced(cold, at_once=1))
    simulation.add(ask("gone"))
    simulation.step()
    simulation.abort("gone")
    simulation.add(ask("takes its blocks", tuple(range(100, 140))))
    simulation.drain(60)
    assert simulation.alone(ask("", tuple(range(100, 140)))) == simulation.records["takes its blocks"].tokens
    assert 12 == simulation.pool.free_count


@pytest.mark.parametrize("horizon", [Horizon(10), Horizon(8, chunked=True)], ids=["window", "chunks"])
def test_local_layers_come_back_where_a_prompt_or_an_answer_ended(horizon: Horizon) -> None:
    first = run(cold := ColdStore(), ask("first", max_tokens=9), horizon=horizon).records["first"]
    for start, read in ((PROMPT, 40), ((*PROMPT, *first.tokens), 48)):
        next_turn = run(cold, ask("next", (*start, 7, 8, 9, 10, 11, 12)), horizon=horizon).records["next"]
        assert read == next_turn.usage.cache_read  # type: ignore[union-attr]


def test_local_layers_come_back_at_a_breakpoint() -> None:
    marked = replace(ask("first"), breakpoints=(Breakpoint(20, 300.0),))
    run(cold := ColdStore(), marked, horizon=Horizon(10))
    other = run(cold, ask("other", (*PROMPT[:20], *range(200, 220))), horizon=Horizon(10)).records["other"]
    assert 20 == other.usage.cache_read  # type: ignore[union-attr]


def test_of_local_layers_only_what_a_later_request_could_begin_with_is_kept() -> None:
    run(cold := ColdStore(), ask("first", tuple(range(80)), max_tokens=1), horizon=Horizon(8, chunked=True))
    assert (20, 0) == (len(cold.kept), sum(local for _, local in cold.kept))  # it ends where a chunk ends
    run(cold, ask("second", tuple(range(86)), max_tokens=1), horizon=Horizon(8, chunked=True))
    assert (21, 1) == (sum(not local for _, local in cold.kept), sum(local for _, local in cold.kept))


def test_the_beginning_of_an_ended_text_is_named_first() -> None:
    run(cold := ColdStore(), ask("first"))
    parent, wanted = root(b""), []
    for start in range(0, 44, 4):
        tokens = (*PROMPT, *cold_answer())[start : start + 4]
        parent = address(parent, tokens)
        wanted.append((parent, False))
    assert wanted == cold.ended


def cold_answer() -> list[int]:
    return HashingRunner().alone(PROMPT, 3)


def test_an_owners_idle_blocks_can_be_told_and_forgotten() -> None:
    pool, mine, other = BlockPool(4, 4), root(b"s", b"me"), root(b"s", b"you")
    for parent in (mine, other):
        (block,) = pool.take(1, 0.0)
        pool.store(block, address(parent, range(4)), 0.0)
        pool.release([block])
    pool.forget(mark(b"me"))
    pool.check_integrity()
    assert [None, 1] == [pool.get(address(parent, range(4))) for parent in (mine, other)]


def test_blocks_in_use_then_pinned_then_last_used_are_most_worth_keeping() -> None:
    pool, parent = BlockPool(4, 4), root(b"")
    names = {address(parent, [n]): n for n in range(4)}
    for name, block in zip(names, pool.take(4, 0.0), strict=True):
        pool.store(block, name, 0.0)
    pool.pin([next(iter(names))], 300.0, 0.0)
    for block in (0, 1, 2):
        pool.release([pool.get(list(names)[block]) or 0])
    assert [3, 0, 2, 1] == [names[wanted] for wanted, _ in pool.worth_keeping()]


class Engine:
    """A loop that is run until it has answered and is shut down."""

    def __init__(self, cold: ColdStore) -> None:
        self.runner, self.outputs = HashingRunner(40), list[Output]()
        scheduler = Scheduler(BlockPool(40, 4), 8, 4, 1000, cold=cold)
        self.loop = Loop(self.runner, scheduler, self.outputs.extend, cold=cold)
        cold.wake = self.loop.wake

    def answer(self, request: Request) -> tuple[list[int], Usage | None]:
        self.loop.submit(request, Sampling(temperature=0))
        self.loop.shutdown()
        self.loop.run()
        assert self.outputs[-1].stop
        return [choice.token for output in self.outputs for choice in output.choices], self.outputs[-1].usage


def test_a_loop_goes_on_from_what_another_one_kept() -> None:
    cold = ColdStore()
    first, _ = Engine(cold).answer(ask("first"))
    engine = Engine(cold)
    assert (first, Usage(input=2, cache_read=40, output=3)) == engine.answer(ask("again"))
    assert (40, 4, True) == (engine.loop.stats.restored_tokens, sum(engine.runner.steps), cold.closed)


def test_what_found_no_room_on_its_way_is_kept_before_the_end() -> None:
    cold = ColdStore()
    cold.wants = lambda address, local, wants=cold.wants: len(cold.ended) > 0 and wants(address, local)  # type: ignore
    Engine(cold).answer(ask("first"))
    assert 11 == len(cold.kept)


def test_a_store_that_takes_nothing_delays_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haiga.batching.loop._SAVING", 0.05)
    cold = ColdStore()
    cold.full = True
    tokens, usage = Engine(cold).answer(ask("first"))
    assert (cold_answer(), Usage(input=42, output=3), {}) == (tokens, usage, cold.kept)
