"""From logits to tokens, in numpy.

The rule of this file: each row is worked on by itself, so a token depends on its own logits, settings, seed and
position alone, never on what else is in the batch. What happens to a row, in this order:

1.  logprobs, if wanted, are taken from the model's own distribution: before mask, penalties, bias and temperature
2.  mask: tokens that a grammar forbids become impossible
3.  repetition penalty over every token of prompt and output: positive logits are divided by it, negative ones
    multiplied (CTRL, Keskar et al. 2019, as in Hugging Face transformers)
4.  frequency and presence penalty over the output alone: logit - frequency * count - presence (OpenAI's definition)
5.  logit bias is added
6.  temperature 0 (below 1e-5): the largest logit, the lowest id of equals. Otherwise the logits are divided by it
7.  top_k, then top_p over what that leaves, then min_p, as in transformers: the k largest; the fewest of the largest
    whose share reaches top_p; those with at least min_p times the largest probability. Of equals, lower ids come first
8.  one uniform number picks from what is left, in the order of ids

Nothing is sorted but values: for top_p those within reach of the largest, and only when their mass does not do, all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Failed
from haiga.core.generation import Sampling

Floats = NDArray[np.float32]
Ids = NDArray[np.intp]

_GREEDY_BELOW = 1e-5
_REACH = np.float32(8)  # natural log units below the largest
_CHUNK = 256
_WORD = (1 << 64) - 1
_NO_IDS: Ids = np.empty(0, np.intp)


@dataclass(frozen=True, slots=True)
class Draw:
    """How one row's token is chosen.

    position: how many tokens this sequence has generated. prompt: the prompt's distinct token ids, read only when there
    is a repetition penalty. output: what was generated, read only when there is any penalty. mask: one bit per token
    (bit i % 32 of word i // 32), 1 for allowed; None allows all.
    """

    sampling: Sampling
    seed: int
    position: int
    prompt: Ids = field(default_factory=lambda: _NO_IDS)
    output: Sequence[int] = ()
    mask: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen token. With logprobs wanted: its natural log probability, and the best (id, log probability) pairs,
    best first."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def sample(logits: Floats, draws: Sequence[Draw]) -> list[Choice]:
    """One token per row of `logits` [rows, vocabulary]. Raises Failed when a row leaves nothing to choose from."""
    return [_choose(row, draw) for row, draw in zip(logits, draws, strict=True)]


def _choose(logits: Floats, draw: Draw) -> Choice:
    adjusted = _adjust(logits, draw)
    best = int(adjusted.argmax())  # a NaN counts as the largest
    if not math.isfinite(adjusted[best]):
        raise Failed("no token can be chosen: the logits are not finite or the grammar allows none")
    greedy = draw.sampling.temperature < _GREEDY_BELOW
    token = best if greedy else _draw(adjusted, best, draw)
    return Choice(token) if draw.sampling.logprobs is None else _explain(logits, token, draw.sampling.logprobs)


def _adjust(logits: Floats, draw: Draw) -> Floats:
    """Steps 2 to 5. The runner's logits are not written to."""
    s = draw.sampling
    penalised = s.repetition_penalty != 1 or s.frequency_penalty != 0 or s.presence_penalty != 0
    if draw.mask is None and not penalised and not s.logit_bias:
        return logits
    logits = logits.copy() if draw.mask is None else np.minimum(logits, _ceiling(draw.mask, len(logits)))
    if penalised:
        _penalise(logits, draw)
    for token, bias in s.logit_bias.items():
        logits[token] += bias
    return logits


def _ceiling(mask: NDArray[np.int32], vocabulary: int) -> Floats:
    """Infinity where a token is allowed and minus infinity where not (a boolean index takes ten times as long)."""
    bits = np.unpackbits(mask.view(np.uint8), count=vocabulary, bitorder="little")
    return (bits.astype(np.float32) - np.float32(0.5)) * np.float32(np.inf)


def _penalise(logits: Floats, draw: Draw) -> None:
    s = draw.sampling
    ids, counts = np.unique(np.asarray(draw.output, np.intp), return_counts=True)
    if s.repetition_penalty != 1:
        seen = np.union1d(draw.prompt, ids)
        values, factor = logits[seen], np.float32(s.repetition_penalty)
        logits[seen] = np.where(values > 0, values / factor, values * factor)
    logits[ids] -= (s.frequency_penalty * counts + s.presence_penalty).astype(np.float32)


def _draw(logits: Floats, best: int, draw: Draw) -> int:
    """Steps 6 to 8."""
    scaled = (logits - logits[best]) / np.float32(draw.sampling.temperature)
    weights = np.exp(scaled)
    kept = survivors(scaled, weights, draw.sampling)
    return _pick(weights if kept is None else weights * kept, uniform(draw.seed, draw.position))


def survivors(scaled: Floats, weights: Floats, sampling: Sampling) -> NDArray[np.bool_] | None:
    """Step 7: which tokens may be drawn; None for all. The largest of `scaled` is 0, `weights` is its exp.

    Each filter keeps a head of the falling order, so together they come down to the smallest value kept and how many
    are, which decides between equals of that value.
    """
    if not (sampling.top_k or sampling.top_p < 1 or sampling.min_p):
        return None
    falling = _falling(scaled, weights, sampling)
    if sampling.min_p:
        falling = falling[falling >= np.float32(math.log(sampling.min_p))]
    kept: NDArray[np.bool_] = scaled >= falling[-1]
    excess = np.count_nonzero(kept) - len(falling)
    if excess:
        kept[np.flatnonzero(scaled == falling[-1])[-excess:]] = False
    return kept


def _falling(scaled: Floats, weights: Floats, sampling: Sampling) -> Floats:
    """The values that top_k and then top_p keep, largest first (all, in no order, when neither is asked for)."""
    values, total = scaled, float(weights.sum())
    if 0 < sampling.top_k < len(scaled):
        values = np.partition(scaled, len(scaled) - sampling.top_k)[-sampling.top_k :]
        total = float(np.exp(values).sum())
    if sampling.top_p < 1:
        return _nucleus(values, sampling.top_p * total)
    return values


def _nucleus(values: Floats, enough: float) -> Floats:
    """The fewest of the largest values whose weights sum to `enough`, largest first."""
    for head in (values[values >= -_REACH], values):
        falling = np.sort(head)[::-1]
        weights = np.exp(falling)
        running = _running_sum(weights)
        if running[-1] >= enough:
            break
    return falling[: 1 + _crossing(weights, running, enough, "left")]


def _pick(weights: Floats, share: float) -> int:
    """The index at which the running sum of `weights` exceeds `share` (0 up to, not with, 1) of the whole. Its weight
    is never 0."""
    running = _running_sum(weights)
    return _crossing(weights, running, share * float(running[-1]), "right")


def _running_sum(weights: Floats) -> NDArray[np.float64]:
    """The running sum at the end of every chunk: a plain one over a whole vocabulary would take longer than exp."""
    starts = np.arange(0, len(weights), _CHUNK)
    return np.add.reduceat(weights, starts).cumsum(dtype=np.float64)


def _crossing(weights: Floats, running: NDArray[np.float64], target: float, side: Literal["left", "right"]) -> int:
    """Where the running sum reaches ("left") or exceeds ("right") `target`."""
    chunk = min(int(running.searchsorted(target, side)), len(running) - 1)
    part = weights[chunk * _CHUNK : (chunk + 1) * _CHUNK]
    inside = part.cumsum(dtype=np.float64) + (running[chunk - 1] if chunk else 0.0)
    at = int(inside.searchsorted(target, side))
    if at == len(part):  # the two sums differ by a rounding
        at = int(np.flatnonzero(part)[-1])
    return chunk * _CHUNK + at


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on its arguments alone: output `position` of the SplitMix64 stream (Steele, Lea
    and Flood 2014) that starts at the scrambled seed. 52 bits, so that it times a sum stays below the sum."""
    state = _scramble(seed & _WORD) + (position + 1) * 0x9E3779B97F4A7C15
    return (_scramble(state & _WORD) >> 12) * 2.0**-52


def _scramble(word: int) -> int:
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _WORD
    return word ^ (word >> 31)


def _explain(logits: Floats, token: int, count: int) -> Choice:
    """Step 1, done last: the model's own log softmax at the token and at the `count` largest logits."""
    top = logits.max()
    norm = float(top) + math.log(float(np.exp(logits - top).sum(dtype=np.float64)))
    pairs = tuple((int(index), float(logits[index]) - norm) for index in _largest(logits, min(count, len(logits))))
    return Choice(token, float(logits[token]) - norm, pairs)


def _largest(values: Floats, count: int) -> Ids:
    """Where the `count` largest are, largest first, the lower index first of equals."""
    if not count:
        return _NO_IDS
    head = np.flatnonzero(values >= np.partition(values, len(values) - count)[-count])
    return head[np.argsort(-values[head], kind="stable")][:count]
