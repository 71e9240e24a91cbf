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

Nothing is sorted but values: for top_p those near the largest, and only when their mass does not do, all. Arrays as
wide as the vocabulary live in scratch memory: allocating them anew costs more than the arithmetic (page faults).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Failed, Invalid
from haiga.core.generation import Sampling

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Ids = NDArray[np.intp]

_GREEDY_BELOW = 1e-5
_NEAR = np.float32(8)  # natural log units below the largest
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


def check(sampling: Sampling, vocabulary: int) -> None:
    """Raises Invalid, with the field, for settings that `Sampler` cannot work with."""
    ranges = {
        "temperature": (0.0, math.inf),
        "top_p": (0.0, 1.0),
        "min_p": (0.0, 1.0),
        "repetition_penalty": (1e-3, 1e3),
        "frequency_penalty": (-1e3, 1e3),
        "presence_penalty": (-1e3, 1e3),
    }
    for name, (low, high) in ranges.items():
        value = getattr(sampling, name)
        if not low <= value <= high:
            raise Invalid(f"{value} is not between {low:g} and {high:g}", field=name)
    for token, bias in sampling.logit_bias.items():
        if not 0 <= token < vocabulary:
            raise Invalid(f"there is no token {token}", field="logit_bias")
        if not abs(bias) <= 1e6:
            raise Invalid(f"the bias {bias} of token {token} is out of range", field="logit_bias")


class Sampler:
    """Chooses tokens, one row of logits [vocabulary] at a time. Its scratch memory makes it one thread's own."""

    def __init__(self, vocabulary: int) -> None:
        self._adjusted, self._scaled, self._weights, self._sorted, self._spare = np.empty((5, vocabulary), np.float32)
        self._kept = np.empty(vocabulary, np.bool_)

    def choose(self, logits: Floats, draw: Draw) -> Choice:
        """The next token. `logits` is not written to. Raises Failed when it leaves nothing to choose from."""
        adjusted = self._adjust(logits, draw)
        best = int(adjusted.argmax())  # a NaN counts as the largest
        if not math.isfinite(adjusted[best]):
            raise Failed("no token can be chosen: the logits are not finite, or the grammar allows none")
        greedy = draw.sampling.temperature < _GREEDY_BELOW
        token = best if greedy else self._draw(adjusted, best, draw)
        return Choice(token) if draw.sampling.logprobs is None else self._explain(logits, token, draw.sampling.logprobs)

    def score(self, logits: Floats, token: int, count: int) -> Choice:
        """A token that stands there already, with its log probability and the `count` best. Raises Failed for logits
        that say nothing."""
        if not math.isfinite(logits.max()):
            raise Failed("no token can be scored: the logits are not finite")
        return self._explain(logits, token, count)

    def _adjust(self, logits: Floats, draw: Draw) -> Floats:
        """Steps 2 to 5."""
        s = draw.sampling
        penalised = s.repetition_penalty != 1 or s.frequency_penalty != 0 or s.presence_penalty != 0
        if draw.mask is None and not penalised and not s.logit_bias:
            return logits
        if draw.mask is None:
            np.copyto(self._adjusted, logits)
        else:
            np.minimum(logits, self._ceiling(draw.mask), out=self._adjusted)
        if penalised:
            _penalise(self._adjusted, draw)
        for token, bias in s.logit_bias.items():
            self._adjusted[token] += bias
        return self._adjusted

    def _ceiling(self, mask: NDArray[np.int32]) -> Floats:
        """Infinity where a token is allowed, minus infinity where not (a boolean index takes ten times as long)."""
        bits = np.unpackbits(mask.view(np.uint8), count=len(self._spare), bitorder="little")
        np.subtract(bits, np.float32(0.5), out=self._spare)
        return np.multiply(self._spare, np.float32(np.inf), out=self._spare)

    def _draw(self, logits: Floats, best: int, draw: Draw) -> int:
        """Steps 6 to 8."""
        np.subtract(logits, logits[best], out=self._scaled)
        np.divide(self._scaled, np.float32(draw.sampling.temperature), out=self._scaled)
        np.exp(self._scaled, out=self._weights)
        s = draw.sampling
        if s.top_k > 0 or s.top_p < 1 or s.min_p > 0:
            np.multiply(self._weights, self._survivors(s), out=self._weights)
        return _pick(self._weights, uniform(draw.seed, draw.position))

    def _survivors(self, sampling: Sampling) -> Flags:
        """Step 7: which tokens may be drawn. The largest of `_scaled` is 0, and `_weights` is its exp.

        Each filter keeps a head of the falling order, so together they come down to the smallest value that is kept
        and how many are, which decides between equals of that value.
        """
        reach = np.float32(-math.log(sampling.min_p) if sampling.min_p else np.inf)
        drops = self._head(sampling)
        if drops is None:
            return np.greater_equal(self._scaled, -reach, out=self._kept)
        count = int(drops.searchsorted(reach, "right"))
        smallest = -drops[count - 1]
        np.greater_equal(self._scaled, smallest, out=self._kept)
        excess = np.count_nonzero(self._kept) - count
        if excess:
            self._kept[np.flatnonzero(self._scaled == smallest)[-excess:]] = False
        return self._kept

    def _head(self, sampling: Sampling) -> Floats | None:
        """How far below the largest value those are that top_k and then top_p keep, in rising order; None for all."""
        drops = None
        if 0 < sampling.top_k < len(self._scaled):
            drops = np.sort(-self._largest(self._scaled, sampling.top_k))
        if sampling.top_p < 1:
            enough = sampling.top_p * float((self._weights if drops is None else np.exp(-drops)).sum())
            drops = self._nucleus(self._drops(enough) if drops is None else drops, enough)
        return drops

    def _largest(self, values: Floats, count: int) -> Floats:
        """The `count` largest values, the smallest of them first; they stay until the next sort."""
        np.copyto(self._sorted, values)
        self._sorted.partition(len(values) - count)
        return self._sorted[-count:]

    def _drops(self, enough: float) -> Floats:
        """How far below the largest the next ones are, in rising order, for weights of at least `enough` in sum."""
        np.greater_equal(self._scaled, -_NEAR, out=self._kept)
        if np.count_nonzero(self._kept) < len(self._kept) // 8:
            near = self._scaled.compress(self._kept)
            if float(np.exp(near).sum()) >= enough:
                return np.sort(-near)
        np.negative(self._scaled, out=self._sorted)
        self._sorted.sort()
        return self._sorted

    def _nucleus(self, drops: Floats, enough: float) -> Floats:
        """The first of `drops` whose weights sum to `enough`."""
        weights = np.negative(drops, out=self._spare[: len(drops)])
        np.exp(weights, out=weights)
        return drops[: 1 + _crossing(weights, _running_sum(weights), enough, "left")]

    def _explain(self, logits: Floats, token: int, count: int) -> Choice:
        """Step 1, done last: the model's own log softmax at the token and at the `count` largest logits."""
        top = logits.max()
        np.subtract(logits, top, out=self._scaled)
        norm = float(top) + math.log(float(np.exp(self._scaled, out=self._weights).sum(dtype=np.float64)))
        pairs = tuple((int(index), float(logits[index]) - norm) for index in self._best(logits, count))
        return Choice(token, float(logits[token]) - norm, pairs)

    def _best(self, logits: Floats, count: int) -> Ids:
        """The ids of the `count` largest, largest first, the lower id first of equals."""
        if not count:
            return _NO_IDS
        smallest = self._largest(logits, min(count, len(logits)))[0]
        ids = np.flatnonzero(np.greater_equal(logits, smallest, out=self._kept))
        return ids[np.argsort(-logits[ids], kind="stable")][:count]


def _penalise(logits: Floats, draw: Draw) -> None:
    """Steps 3 and 4, in place."""
    s = draw.sampling
    ids, counts = np.unique(np.asarray(draw.output, np.intp), return_counts=True)
    if s.repetition_penalty != 1:
        seen = np.union1d(draw.prompt, ids)
        values, factor = logits[seen], np.float32(s.repetition_penalty)
        logits[seen] = np.where(values > 0, values / factor, values * factor)
    logits[ids] -= (s.frequency_penalty * counts + s.presence_penalty).astype(np.float32)


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
