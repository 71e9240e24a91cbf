"""What words do in sentences, learned from plain text before any label: the network guesses words that are left out.

Rule: nothing but the given texts is learned from; no label is seen.

A fifth of the words is to be guessed, as arXiv 1810.04805 does it: most of them hidden, some exchanged, some left as
they are. A word is guessed among those of its batch, each by its vector; how likely a word is to be in a batch is taken
off its score (sampled softmax, arXiv 1412.2007).
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from haiga.text.grams import Grams
from haiga.text.words import words
from trainers.moderation import vectors
from trainers.moderation.course import Course
from trainers.moderation.network import Network, Shape, there

ASKED = 0.2  # share of words that are guessed
HIDDEN, EXCHANGED = 0.8, 0.1  # of these
MASK = "<mask>"
PIECE = (8, 56)  # words of a piece of a long text
BATCH = 2600  # words
RATE, TABLE_RATE = 1.5e-3, 4e-4
REPORTED = 250  # steps
Words = NDArray[np.int64]


def vocabulary(texts: Sequence[str], often: Sequence[str], count: int) -> list[str]:
    """Every word of `texts`, and the most frequent ones of `often`, up to `count`."""
    own = Counter(word.text for text in texts for word in words(text))
    others = Counter(word.text for text in often for word in words(text) if word.text.isalpha())
    found = [*own, *(word for word, times in others.most_common() if times > 2 and word not in own)]
    return [word for word in found if not word.startswith("<")][:count]


def begun(shape: Shape, categories: int, meanings: Mapping[str, NDArray[np.float32]], seed: int) -> Network:
    """A network that knows no more than the words' meanings."""
    torch.manual_seed(seed)
    network = Network(shape, categories)
    print(f"words explained: {vectors.begin(network, meanings, seed):.2f}", flush=True)
    return network


def learn(network: Network, texts: Sequence[str], epochs: int, minutes: float | None, seed: int) -> list[float]:
    """Let the network read the texts so often, or for so long; the losses of its steps."""
    reader, guesser = _Reader(texts, network.shape, seed), _Guesser(network.shape)
    steps = epochs * len(reader.lesson())
    course = Course(network.train(), RATE, TABLE_RATE, steps, minutes, guesser.parameters())
    losses: list[float] = []
    while course.done < 1:
        for batch in takewhile(lambda _: course.done < 1, reader.batches()):
            losses.append(_step(network, guesser, course, batch))
            if len(losses) % REPORTED == 0:
                print(f"language: loss {np.mean(losses[-REPORTED:]):.3f}, {course.done:.3f} done", flush=True)
    return losses


def _step(network: Network, guesser: "_Guesser", course: Course, batch: "_Batch") -> float:
    with torch.autocast("cpu", torch.bfloat16):
        known = network.table(batch.rows)
        read = network.read(known[batch.places], there(batch.places))
        scores = guesser(read[batch.asked], known[1:-1])
    loss = F.cross_entropy(scores.float() - batch.likely, batch.targets)
    course.step(loss)
    return loss.item()


class _Guesser(nn.Module):
    """Of what is known of a place, scores of words; not kept."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.turn, self.scale = nn.Linear(shape.hidden, shape.width), nn.Parameter(torch.tensor(1.0))

    def forward(self, known: Tensor, words: Tensor) -> Tensor:
        """[N, W] of places [N, hidden] and words' vectors [W, width]."""
        scores: Tensor = self.turn(known) @ words.T * self.scale
        return scores


@dataclass(frozen=True, slots=True)
class _Batch:
    """`rows` [W + 2, grams] of none, the batch's words, and the mask; `places` [B, T] of them; `asked` [B, T] whether a
    place is guessed; `targets` [N] the words there; `likely` [W] the logarithm of how likely a word is in a batch."""

    rows: Tensor
    places: Tensor
    asked: Tensor
    targets: Tensor
    likely: Tensor


class _Reader:
    """The texts as numbers of their words, from 1 on, and batches of pieces of about one length."""

    def __init__(self, texts: Sequence[str], shape: Shape, seed: int) -> None:
        self._chance, self._often = random.Random(seed), np.random.default_rng(seed)
        numbers: dict[str, int] = {}
        self._texts = [
            np.array([numbers.setdefault(w.text, len(numbers) + 1) for w in words(text)], np.int64) for text in texts
        ]
        self._rows = Grams(shape.rows, shape.grams).table(["", *numbers, MASK], len(numbers) + 2)
        self._rows[0] = 0
        counts = np.bincount(np.concatenate(self._texts), minlength=len(numbers) + 1)
        self._share = np.minimum(counts / counts.sum(), 0.5)

    def batches(self) -> Iterator[_Batch]:
        """Every text once."""
        yield from map(self._batch, self.lesson())

    def lesson(self) -> list[list[Words]]:
        """Every text once, in pieces, those of a batch together."""
        pieces = sorted(self._pieces(), key=lambda piece: len(piece) * self._chance.uniform(0.85, 1.15))
        together, at = [], 0
        while at < len(pieces):
            together.append(pieces[at : at + max(16, min(256, BATCH // len(pieces[at])))])
            at += len(together[-1])
        self._chance.shuffle(together)
        return together

    def _pieces(self) -> Iterator[Words]:
        for text in self._texts:
            at = 0 if len(text) <= PIECE[1] else self._chance.randint(0, PIECE[0])
            while at < len(text) - 3:
                size = self._chance.randint(*PIECE) if len(text) > PIECE[1] else PIECE[1]
                yield text[at : at + size]
                at += size

    def _batch(self, pieces: Sequence[Words]) -> _Batch:
        places = np.zeros((len(pieces), max(map(len, pieces))), np.int64)
        for row, piece in zip(places, pieces, strict=True):
            row[: len(piece)] = piece
        found, inverse = np.unique(np.append(places, 0), return_inverse=True)  # none is always among them
        own = inverse[:-1].reshape(places.shape)
        asked = (self._often.random(own.shape) < ASKED) & (own > 0)
        rows = np.concatenate([self._rows[found], self._rows[-1:]])
        count = int((own > 0).sum())
        likely = np.log(-np.expm1(count * np.log1p(-self._share[found[1:]])) + 1e-9)
        return _Batch(
            torch.from_numpy(rows).long(),
            torch.from_numpy(self._masked(own, asked, len(found))),
            torch.from_numpy(asked),
            torch.from_numpy(own[asked] - 1),
            torch.from_numpy(likely).float(),
        )

    def _masked(self, own: Words, asked: NDArray[np.bool_], mask: int) -> Words:
        chance, shown = self._often.random(own.shape), own.copy()
        shown[asked & (chance < HIDDEN)] = mask
        other = asked & (chance >= HIDDEN) & (chance < HIDDEN + EXCHANGED)
        shown[other] = self._often.integers(1, mask, int(other.sum()))
        return shown
