"""Drafts and scores in the loop: a prediction changes nothing but the number of steps, and every token of a scored
prompt has the log probability that the model gives it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.batching.sampler import Choice, Sampler
from haiga.batching.sequence import Request
from haiga.batching.speculation import Drafter
from haiga.core.errors import Failed
from haiga.core.generation import Sampling
from tests.unit.batching.hashing_runner import HashingRunner, Logits
from tests.unit.batching.test_loop import Bench, Only

PROMPT = tuple(range(7))
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0]),
    top_p=st.sampled_from([1.0, 0.5]),
    frequency_penalty=st.sampled_from([0.0, 1.5]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    seed=st.integers(0, 99),
    logprobs=st.sampled_from([None, 0, 2]),
)


def run(request: Request, sampling: Sampling, *allowed: int) -> tuple[list[Choice], Bench]:
    bench = Bench(HashingRunner(blocks=40))
    choices: list[Choice] = []
    bench.after_step = lambda outputs: choices.extend(choice for output in outputs for choice in output.choices)
    bench.loop.submit(request, sampling, Only(*allowed) if allowed else None)
    bench.run()
    return choices, bench


@settings(max_examples=100, deadline=None)
@given(
    sampling=SAMPLINGS, wrong=st.sets(st.integers(0, 30), max_size=5), end=st.frozensets(st.integers(0, 49), max_size=4)
)
def test_an_answer_is_the_same_with_and_without_a_prediction(
    sampling: Sampling, wrong: set[int], end: frozenset[int]
) -> None:
    plain = Request("a", PROMPT, 30, end)
    expected, _ = run(plain, sampling)
    guess = tuple(49 - choice.token if at in wrong else choice.token for at, choice in enumerate(expected))
    choices, bench = run(replace(plain, prediction=guess), sampling)
    assert expected == choices
    usage = bench.last["a"].usage
    assert usage and len(choices) == usage.output
    assert len(expected) - bench.loop.stats.steps == usage.accepted


def test_drafts_obey_a_grammar() -> None:
    allowed = (5, 9, 5, 9, 5)
    choices, bench = run(Request("a", PROMPT, 5, prediction=(5, 9, 5, 8, 5)), Sampling(temperature=0), *allowed)
    assert list(allowed) == [choice.token for choice in choices]
    usage = bench.last["a"].usage
    assert usage and 5 - bench.loop.stats.steps == usage.accepted > 0 < usage.rejected


@pytest.mark.parametrize("most", [0, 6])
def test_a_scored_prompt_has_the_models_own_log_probabilities(most: int) -> None:
    bench = Bench(rows=1)
    scores: list[Choice] = []
    bench.after_step = lambda outputs: scores.extend(score for output in outputs for score in output.scores)
    prompt = tuple(map(int, np.random.default_rng(0).integers(0, 50, 40)))
    # the second one finds the prompt's blocks in the cache, and computes it all the same
    bench.loop.submit(Request("before", prompt, 1), Sampling(temperature=0))
    bench.loop.submit(Request("a", prompt, most, scored=True), Sampling(temperature=0, logprobs=3))
    bench.run()
    assert _scores(bench.runner, prompt) == scores
    assert most == len(bench.tokens["a"])


def _scores(runner: HashingRunner, prompt: tuple[int, ...]) -> list[Choice]:
    state, scores = 0, []
    for token, following in pairwise(prompt):
        state = hash((state, token))
        scores.append(Sampler(50).score(runner.logits(state), following, 3))
    return scores


def test_logits_that_say_nothing_score_nothing() -> None:
    nothing: Logits = np.full(50, np.nan, np.float32)
    with pytest.raises(Failed, match="no token can be scored"):
        Sampler(50).score(nothing, 1, 0)


def test_a_draft_goes_on_wherever_its_last_two_tokens_stand() -> None:
    drafter = Drafter((1, 2, 3, 4, 1, 2, 9, 9))
    assert (1, 2, 3) == drafter.draft(3)
    for token in (1, 2, 7):
        drafter.follow(token)
    assert () == drafter.draft(3)
    for token in (1, 2):
        drafter.follow(token)
    assert (3, 4, 1) == drafter.draft(3)
    for token in (8, 1, 2, 3, 4, 1, 2, 8, 1, 2):
        drafter.follow(token)
    assert (9, 9) == drafter.draft(3)
    assert () == Drafter(()).draft(3)
