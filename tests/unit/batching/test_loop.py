"""The loop: whatever happens, each request gets exactly one last output, and the others never notice."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Loop, Output
from haiga.batching.sampler import Draw, Sampler
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.core.errors import Busy, Cancelled, Dead, Failed, Invalid
from haiga.core.generation import Sampling
from haiga.core.ports import Row
from tests.unit.batching.hashing_runner import HashingRunner

GREEDY = Sampling(temperature=0)


class FailingRunner(HashingRunner):
    """Raises at the steps that `when` names."""

    def __init__(self, when: Callable[[int], bool], blocks: int = 16) -> None:
        super().__init__(blocks)
        self._when = when
        self._calls = 0

    def step(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        self._calls += 1
        if self._when(self._calls):
            raise RuntimeError("the device is on fire")
        return super().step(rows)


class Only:
    """A constraint that allows these tokens in turn, and none once they are used up."""

    def __init__(self, *tokens: int) -> None:
        self._tokens = list(tokens)

    def mask(self) -> NDArray[np.int32]:
        words = np.zeros(2, np.uint32)
        for token in self._tokens[:1]:
            words[token // 32] = 1 << token % 32
        return words.view(np.int32)

    def accept(self, token: int) -> None:
        assert token == self._tokens.pop(0)


class Bench:
    """A loop whose outputs are collected, and checked: nothing comes after a request's last output."""

    def __init__(self, runner: HashingRunner | None = None, rows: int = 4) -> None:
        self.runner = runner or HashingRunner()
        self.scheduler = Scheduler(BlockPool(self.runner.blocks, self.runner.block_size), 16, rows, 1000)
        self.loop = Loop(self.runner, self.scheduler, self.collect)
        self.tokens: dict[str, list[int]] = {}
        self.last: dict[str, Output] = {}
        self.after_step: Callable[[list[Output]], None] = lambda outputs: None

    def collect(self, outputs: list[Output]) -> None:
        assert outputs
        for output in outputs:
            assert output.id not in self.last
            self.tokens.setdefault(output.id, []).extend(choice.token for choice in output.choices)
            if output.stop or output.error:
                self.last[output.id] = output
        self.after_step(outputs)

    def submit(
        self, name: str, prompt: int = 8, max_tokens: int = 4, sampling: Sampling = GREEDY, **more: object
    ) -> None:
        start = sum(map(ord, name)) * 100
        self.loop.submit(Request(name, tuple(range(start, start + prompt)), max_tokens), sampling, **more)

    def run(self) -> None:
        """Everything submitted so far, to its end."""
        self.loop.shutdown()
        self.loop.run()
        self.scheduler.check_integrity()
        assert self.runner.blocks == self.scheduler.pool.free_count

    def errors(self) -> dict[str, type | None]:
        return {name: type(output.error) if output.error else None for name, output in self.last.items()}


def test_every_request_is_answered_as_if_alone_and_the_runner_is_closed() -> None:
    bench = Bench()
    for name in ("a", "b", "c", "d", "e"):
        bench.submit(name, prompt=10, max_tokens=9)
    bench.run()
    for name in ("a", "b", "c", "d", "e"):
        prompt = range(ord(name) * 100, ord(name) * 100 + 10)
        assert bench.runner.alone(prompt, 9) == bench.tokens[name]
        assert 10 == bench.last[name].prefilled == bench.last[name].usage.prompt
        assert "max_tokens" == bench.last[name].stop
    assert bench.runner.closed


def test_what_is_wrong_with_a_request_comes_back_as_its_error() -> None:
    bench = Bench()
    bench.submit("long", prompt=100)
    bench.submit("top_p", sampling=Sampling(top_p=2))
    bench.submit("fine")
    bench.run()
    assert {"long": Invalid, "top_p": Invalid, "fine": None} == bench.errors()
    assert "top_p: 2 is not between 0 and 1" == str(bench.last["top_p"].error)


def test_prefill_progress_is_told_before_the_first_token() -> None:
    bench = Bench()
    progress: list[tuple[int, int]] = []
    bench.after_step = lambda outputs: progress.extend((o.prefilled, len(o.choices)) for o in outputs)
    bench.submit("a", prompt=40, max_tokens=2)
    bench.run()
    assert [(16, 0), (32, 0), (40, 1), (40, 1)] == progress


def test_an_abort_takes_effect_before_the_next_step() -> None:
    bench = Bench()
    bench.after_step = lambda outputs: bench.loop.abort("a")
    bench.submit("a", max_tokens=40)
    bench.submit("b")
    bench.run()
    assert {"a": Cancelled, "b": None} == bench.errors()
    assert 1 == len(bench.tokens["a"])


def test_a_failing_step_fails_its_requests_and_no_others() -> None:
    bench = Bench(FailingRunner(lambda call: call == 2), rows=2)
    for name in ("a", "b", "c"):
        bench.submit(name)
    bench.run()
    assert {"a": Failed, "b": Failed, "c": None} == bench.errors()
    assert "the device is on fire" in str(bench.last["a"].error)
    assert bench.runner.alone(range(9900, 9908), 4) == bench.tokens["c"]
    assert 1 == bench.loop.stats.failed_steps


def test_a_fault_that_repeats_is_dead_for_everybody() -> None:
    bench = Bench(FailingRunner(lambda call: call > 1), rows=1)
    names = [str(index) for index in range(5)]
    for name in names:
        bench.submit(name)
    with pytest.raises(Dead, match="3 steps in a row failed"):
        bench.run()
    assert [Failed, Failed, Failed, Dead, Dead] == [bench.errors()[name] for name in names]
    assert bench.runner.closed
    bench.scheduler.check_integrity()


def test_faults_with_good_steps_between_are_not_the_end() -> None:
    bench = Bench(FailingRunner(lambda call: call % 2 == 0), rows=1)
    names = [str(index) for index in range(5)]
    for name in names:
        bench.submit(name)
    bench.run()
    assert [Failed] * 5 == [bench.errors()[name] for name in names]


def test_a_refusal_does_not_wait_for_the_next_step() -> None:
    bench = Bench()
    steps: list[int] = []

    def follow(outputs: list[Output]) -> None:
        steps.append(len(bench.runner.steps))
        if len(steps) == 1:
            bench.submit("bad", max_tokens=3, sampling=Sampling(top_p=2))
            bench.loop.shutdown()

    bench.after_step = follow
    bench.submit("a", max_tokens=3)
    bench.loop.run()
    assert [1, 1, 2, 3] == steps


def test_a_drain_takes_nothing_new_and_a_shutdown_without_cancels() -> None:
    drained = Bench()
    drained.submit("before")
    drained.loop.shutdown()
    drained.submit("after")
    drained.run()
    assert {"before": None, "after": Busy} == drained.errors()
    cut = Bench()
    cut.after_step = lambda outputs: cut.loop.shutdown(drain=False)
    cut.submit("a", max_tokens=40)
    cut.run()
    assert {"a": Cancelled} == cut.errors()


def test_a_constraint_is_followed_and_its_dead_end_ends_one_request_alone() -> None:
    bench = Bench()
    bench.submit("fits", max_tokens=3, sampling=Sampling(), constraint=Only(7, 40, 9))
    bench.submit("ends", max_tokens=3, constraint=Only(5))
    bench.submit("free", max_tokens=3)
    bench.run()
    assert ([7, 40, 9], [5]) == (bench.tokens["fits"], bench.tokens["ends"])
    assert {"fits": None, "ends": Failed, "free": None} == bench.errors()


@settings(max_examples=20, deadline=None)
@given(
    others=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=5),
    blocks=st.integers(10, 16),
    seed=st.integers(0, 2**64),
)
def test_a_seeded_answer_does_not_depend_on_the_load(others: list[tuple[int, int]], blocks: int, seed: int) -> None:
    sampling = Sampling(seed=seed, top_p=0.95, repetition_penalty=1.2, frequency_penalty=0.1)
    alone = Bench(HashingRunner(100))
    alone.submit("x", 12, 15, sampling)
    alone.run()
    loaded = Bench(HashingRunner(blocks))
    for index, (prompt, count) in enumerate(others):
        loaded.submit(str(index), prompt, count, Sampling())
    loaded.submit("x", 12, 15, sampling)
    loaded.run()
    assert alone.tokens["x"] == loaded.tokens["x"]


def test_a_seeded_token_is_drawn_for_its_position() -> None:
    bench = Bench()
    sampling = Sampling(seed=5)
    bench.submit("a", max_tokens=9, sampling=sampling)
    bench.run()
    sampler = Sampler(bench.runner.vocabulary)
    expected = bench.runner.alone(
        range(9700, 9708), 9, lambda position, logits: sampler.choose(logits, Draw(sampling, 5, position)).token
    )
    assert expected == bench.tokens["a"]


def test_without_a_seed_answers_differ() -> None:
    answers = []
    for _ in range(2):
        bench = Bench()
        bench.submit("a", max_tokens=30, sampling=Sampling())
        bench.run()
        answers.append(bench.tokens["a"])
    assert answers[0] != answers[1]


def test_logprobs_travel_with_their_tokens() -> None:
    bench = Bench()
    seen: list[Output] = []
    bench.after_step = seen.extend
    bench.submit("a", sampling=replace(GREEDY, logprobs=2))
    bench.run()
    choices = [choice for output in seen for choice in output.choices]
    assert [(choice.token, choice.logprob) for choice in choices] == [choice.top[0] for choice in choices]


def test_the_statistics_add_up() -> None:
    bench = Bench()
    for name in ("a", "b"):
        bench.loop.submit(Request(name, tuple(range(10)), 4), GREEDY)
    bench.run()
    stats = bench.loop.stats
    assert (16, 16, 0, 0) == (stats.blocks, stats.free_blocks, stats.running, stats.waiting)
    assert (8, 8) == (stats.generated_tokens, stats.reused_tokens)
    assert sum(bench.runner.steps) == stats.computed_tokens
    assert len(bench.runner.steps) == stats.steps
    assert 0 < stats.cached_blocks <= 16


@pytest.mark.parametrize(("clear", "read"), [(False, 8), (True, 0)])
def test_a_cleared_cache_is_not_read(clear: bool, read: int) -> None:
    bench = Bench()
    bench.loop.submit(Request("a", tuple(range(10)), 1), GREEDY)

    def follow(outputs: list[Output]) -> None:
        if outputs[0].id == "a":
            if clear:
                bench.loop.clear_cache()
            bench.loop.submit(Request("b", tuple(range(10)), 1), GREEDY)
            bench.loop.shutdown()

    bench.after_step = follow
    bench.loop.run()
    assert read == bench.last["b"].usage.cache_read


def test_an_idle_loop_wakes_for_the_next_request() -> None:
    bench = Bench()
    ended: SimpleQueue[str] = SimpleQueue()
    bench.after_step = lambda outputs: [ended.put(output.id) for output in outputs if output.stop]
    thread = threading.Thread(target=bench.loop.run)
    thread.start()
    for name in ("a", "b"):
        bench.submit(name)
        assert name == ended.get(timeout=20)
    bench.loop.shutdown()
    thread.join(timeout=20)
    assert bench.runner.closed
