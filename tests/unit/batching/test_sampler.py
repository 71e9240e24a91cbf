"""The sampler against a slow one that follows the definitions word by word."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from haiga.batching.sampler import Choice, Draw, Sampler, _pick, _scramble, check, uniform
from haiga.core.errors import Failed, Invalid
from haiga.core.generation import Sampling

GREEDY = Sampling(temperature=0)


def row(*logits: float) -> NDArray[np.float32]:
    return np.array(logits, np.float32)


def choose(
    logits: NDArray[np.float32], sampling: Sampling, seed: int = 0, position: int = 0, **fields: object
) -> Choice:
    return Sampler(len(logits)).choose(logits, Draw(sampling, seed, position, **fields))


def bits(allowed: list[bool]) -> NDArray[np.int32]:
    """A grammar's mask: bit i % 32 of word i // 32."""
    words = [0] * -(-len(allowed) // 32)
    for index, each in enumerate(allowed):
        words[index // 32] |= each << index % 32
    return np.array(words, np.uint32).view(np.int32)


def slow_candidates(logits: NDArray[np.float32], s: Sampling, top_p: float) -> list[int]:
    """Which ids may be drawn: sort everything, then cut three times."""
    scaled = logits.astype(np.float64) / s.temperature
    weights = np.exp(scaled - scaled.max())
    falling = sorted(range(len(logits)), key=lambda index: (-weights[index], index))
    if s.top_k:
        falling = falling[: s.top_k]
    if s.top_p < 1:
        mass = np.cumsum(weights[falling])
        falling = falling[: 1 + int(np.searchsorted(mass, top_p * mass[-1]))]
    return sorted(index for index in falling if weights[index] >= s.min_p)


def on_an_edge(logits: NDArray[np.float32], s: Sampling) -> bool:
    """Whether one rounding decides what top_p keeps, so that two right answers differ."""
    kept = [slow_candidates(logits, s, s.top_p * factor) for factor in (1 - 1e-5, 1, 1 + 1e-5)]
    return kept[0] != kept[1] or kept[1] != kept[2]


def assert_drawn_as_defined(logits: NDArray[np.float32], s: Sampling, seed: int) -> None:
    expected = slow_candidates(logits, s, s.top_p)
    weights = np.exp((logits.astype(np.float64) - logits.max()) / s.temperature)[expected]
    edges = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    sampler = Sampler(len(logits))
    for position in range(20):
        token = sampler.choose(logits, Draw(s, seed, position)).token
        assert token in expected
        at = expected.index(token)
        assert edges[at] - 1e-5 <= uniform(seed, position) <= edges[at + 1] + 1e-5


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.3, 0.8, 1.0, 2.0]),
    top_p=st.sampled_from([1.0, 1.0, 0.001, 0.3, 0.55, 0.9, 0.99]),
    top_k=st.sampled_from([0, 0, 1, 2, 7, 300, 5000]),
    min_p=st.sampled_from([0.0, 0.0, 0.049, 0.51]),
)


@settings(max_examples=200, deadline=None)
@given(logits=st.lists(st.integers(-6, 6), min_size=1, max_size=40), sampling=samplings, seed=st.integers())
def test_small_rows_with_many_equals_are_drawn_as_defined(logits: list[int], sampling: Sampling, seed: int) -> None:
    halves = row(*(each / 2 for each in logits))
    assume(not on_an_edge(halves, sampling))
    assert_drawn_as_defined(halves, sampling, seed)


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([255, 256, 257, 4096]),
    spread=st.sampled_from([0.1, 1, 4, 9]),
    s=samplings,
    seed=st.integers(0, 99),
)
def test_wide_rows_are_drawn_as_defined(size: int, spread: float, s: Sampling, seed: int) -> None:
    logits = (np.random.default_rng(seed).standard_normal(size) * spread).astype(np.float32)
    assume(not on_an_edge(logits, s))
    assert_drawn_as_defined(logits, s, seed)


def test_a_far_but_heavy_tail_is_not_lost() -> None:
    logits = np.random.default_rng(0).uniform(-9.2, -9, 4096).astype(np.float32)
    logits[17] = 0
    assert_drawn_as_defined(logits, Sampling(top_p=0.9), seed=1)


@pytest.mark.parametrize(
    ("logits", "sampling", "drawn"),
    [
        (row(0, 0, 0, 0), Sampling(top_p=0.5), {0, 1}),
        (row(0, 0, 0, 0), Sampling(top_p=0.51), {0, 1, 2}),
        (row(0, 1, 1, 1), Sampling(top_k=2), {1, 2}),
        (row(1, 1, 0, 0), Sampling(top_k=3, min_p=1), {0, 1}),
        (row(1, 1, 0, 0), Sampling(min_p=1), {0, 1}),
        (row(5, 5, 0, 0), Sampling(top_p=0), {0}),
    ],
)
def test_on_the_very_edge_the_fewest_and_lowest_are_kept(
    logits: NDArray[np.float32], sampling: Sampling, drawn: set[int]
) -> None:
    assert drawn == {choose(logits, sampling, 3, position).token for position in range(100)}


def test_what_has_no_weight_is_never_picked() -> None:
    assert 2 == _pick(row(0, 0, 1), 0.0)
    for seed in range(100):
        weights = np.random.default_rng(seed).random(700).astype(np.float32)
        weights[-9:] = 0
        assert weights[_pick(weights, 1 - 2**-52)] > 0


def test_tokens_come_as_often_as_the_model_says() -> None:
    logits, count = row(1, 0, 2, -1, 0.5), 20_000
    sampler = Sampler(5)
    drawn = Counter(sampler.choose(logits, Draw(Sampling(), 7, position)).token for position in range(count))
    expected = np.exp(logits) / np.exp(logits).sum() * count
    chi_square = sum((drawn[index] - expected[index]) ** 2 / expected[index] for index in range(5))
    assert chi_square < 18.5  # 0.1 % of fair samplers exceed this with 4 degrees of freedom


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(samplings, st.integers(0, 9), st.booleans()), min_size=1, max_size=6))
def test_a_row_is_chosen_alike_alone_and_among_others(rows: list[tuple[Sampling, int, bool]]) -> None:
    draws = [
        Draw(s, seed, 3, np.arange(9), [1, 2, 2], bits([True] * 290 + [False] * 10) if masked else None)
        for s, seed, masked in rows
    ]
    logits = [np.random.default_rng(seed).standard_normal(300).astype(np.float32) for _, seed, _ in rows]
    alone = [Sampler(300).choose(each, draw) for each, draw in zip(logits, draws, strict=True)]
    shared = Sampler(300)
    assert alone == [shared.choose(each, draw) for each, draw in zip(logits, draws, strict=True)]


# -- random numbers ----------------------------------------------------------------------------------------------------


def test_the_stream_is_splitmix64() -> None:
    assert 6457827717110365317 == _scramble(1234567 + 0x9E3779B97F4A7C15)


@given(st.integers(), st.integers(0, 10**6))
def test_a_uniform_number_is_at_least_0_and_below_1(seed: int, position: int) -> None:
    assert 0 <= uniform(seed, position) < 1


def test_neighbouring_seeds_and_positions_are_independent() -> None:
    numbers = np.array([[uniform(seed, position) for position in range(60)] for seed in range(60)])
    assert 3600 == len(np.unique(numbers))
    assert abs(numbers.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.05


# -- what changes the logits -------------------------------------------------------------------------------------------


def test_greedy_takes_the_lowest_of_equals() -> None:
    assert 1 == choose(row(0, 3, 3), GREEDY).token


def test_repetition_penalty_counts_prompt_and_output_once_each() -> None:
    s = Sampling(temperature=0, repetition_penalty=2)
    assert 2 == choose(row(4, 3, 2.1), s, prompt=np.array([0]), output=[1, 1, 1]).token
    assert 1 == choose(row(-2, -3, -9), s, prompt=np.array([0])).token


def test_frequency_and_presence_penalties_count_the_output_only() -> None:
    prompt = np.array([0])
    assert 0 == choose(row(4, 3), Sampling(temperature=0, frequency_penalty=2), prompt=prompt).token
    assert 0 == choose(row(4, 3), Sampling(temperature=0, frequency_penalty=0.4), output=[0, 0]).token
    assert 1 == choose(row(4, 3), Sampling(temperature=0, frequency_penalty=0.4), output=[0, 0, 0]).token
    assert 0 == choose(row(4, 3), Sampling(temperature=0, presence_penalty=0.9), output=[0, 0, 0]).token
    assert 1 == choose(row(4, 3), Sampling(temperature=0, presence_penalty=1.1), output=[0]).token


def test_a_bias_is_added() -> None:
    assert 1 == choose(row(4, 3), Sampling(temperature=0, logit_bias={0: -1.5})).token
    assert 1 == choose(row(4, 3, 0), Sampling(logit_bias={0: -100, 2: -100})).token


@given(st.lists(st.booleans(), min_size=70, max_size=70).filter(any), st.integers(0, 50))
def test_a_mask_is_kept_to_whatever_else_is_asked(allowed: list[bool], seed: int) -> None:
    logits = np.random.default_rng(seed).standard_normal(70).astype(np.float32)
    bias = {allowed.index(False): 100.0} if False in allowed else {}
    for s in (Sampling(temperature=0, logit_bias=bias), Sampling(logit_bias=bias), Sampling(top_k=90, top_p=0.99)):
        assert allowed[choose(logits, s, seed, mask=bits(allowed)).token]


def test_the_runners_logits_are_left_as_they_are() -> None:
    logits = row(1, 2, 3)
    choose(
        logits, Sampling(repetition_penalty=2, logit_bias={0: 5}, top_p=0.5), prompt=np.arange(3), mask=bits([True] * 3)
    )
    assert [1, 2, 3] == logits.tolist()


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(top_p=0.9)])
def test_nothing_to_choose_from_fails(sampling: Sampling) -> None:
    with pytest.raises(Failed, match="no token can be chosen"):
        choose(row(1, 2), sampling, mask=bits([False, False]))
    with pytest.raises(Failed, match="no token can be chosen"):
        choose(row(1, math.nan), sampling)


# -- logprobs ----------------------------------------------------------------------------------------------------------


def test_logprobs_are_the_models_own_whatever_is_asked() -> None:
    logits = row(2, 1, 3, 3)
    own = logits - math.log(np.exp(logits).sum())
    s = Sampling(temperature=0, logprobs=3, logit_bias={1: 100}, repetition_penalty=1.5)
    choice = choose(logits, s, prompt=np.array([2]), mask=bits([True, True, False, True]))
    assert 1 == choice.token
    assert pytest.approx(own[1], abs=1e-6) == choice.logprob
    assert [2, 3, 0] == [token for token, _ in choice.top]
    assert pytest.approx([own[2], own[3], own[0]], abs=1e-6) == [value for _, value in choice.top]


@pytest.mark.parametrize(("wanted", "pairs"), [(0, 0), (2, 2), (9, 3)])
def test_as_many_alternatives_as_wanted_or_there_are(wanted: int, pairs: int) -> None:
    choice = choose(row(1, 2, 3), Sampling(logprobs=wanted))
    assert choice.logprob is not None
    assert pairs == len(choice.top)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1),
        ("temperature", math.nan),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("repetition_penalty", 0),
        ("frequency_penalty", math.inf),
        ("logit_bias", {50: 1.0}),
        ("logit_bias", {1: math.inf}),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        check(Sampling(**{field: value}), vocabulary=50)
    assert field == refused.value.field


def test_the_defaults_are_fine() -> None:
    check(Sampling(), vocabulary=50)
