"""What choosing a token costs beside one decode step. Rule: real logits' shape, one row at a time, medians."""

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from haiga.batching.sampler import Draw, Sampler
from haiga.core.generation import Sampling

VOCABULARY = 128_256
WAYS = {
    "greedy": Sampling(temperature=0.0),
    "temperature": Sampling(temperature=0.8),
    "temperature, top_p": Sampling(temperature=0.8, top_p=0.9),
    "temperature, top_p, top_k, min_p": Sampling(temperature=0.8, top_p=0.9, top_k=50, min_p=0.05),
    "the same with penalties": Sampling(temperature=0.8, top_p=0.9, top_k=50, repetition_penalty=1.1),
}


def run(rounds: int = 200) -> dict[str, float]:
    """Microseconds per sequence and way."""
    random = np.random.default_rng(0)
    logits = (random.standard_normal(VOCABULARY) * 3).astype(np.float32)
    return {name: _median(logits, sampling, rounds) for name, sampling in WAYS.items()}


def _median(logits: NDArray[np.float32], sampling: Sampling, rounds: int) -> float:
    sampler, times = Sampler(VOCABULARY), []
    for position in range(rounds):
        draw = Draw(sampling, seed=1, position=position, prompt=np.arange(1000), output=list(range(200)))
        began = time.perf_counter()
        sampler.choose(logits, draw)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6
