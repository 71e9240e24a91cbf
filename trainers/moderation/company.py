"""What words mean by the company they keep, in text that is read for it: where the table begins.

Rule: nothing but the given texts is learned from.

Positive pointwise mutual information of words within WINDOW of each other, contexts smoothed, factored to `width`
directions: Levy, Goldberg and Dagan 2015, Transactions of the ACL 3, pages 211 to 225.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from haiga.text.words import words

WINDOW = 4  # words on each side
SMOOTH = 0.75  # the power that contexts' frequencies are raised to
ROUNDS = 4  # of the factoring's power iteration


def vectors(texts: Sequence[str], vocabulary: Sequence[str], width: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """A vector [width] for each word of the vocabulary that the texts have beside another."""
    numbers = {word: number for number, word in enumerate(vocabulary)}
    pairs, counts = _pairs([_known(text, numbers) for text in texts], len(numbers))
    first, second = np.divmod(pairs, len(numbers))
    alone = np.bincount(first, counts, len(numbers))
    context = alone**SMOOTH / (alone**SMOOTH).sum()
    information = np.log(counts / (alone[first] * context[second]))
    kept = information > 0
    places = torch.from_numpy(np.stack([first[kept], second[kept]]))
    values = torch.from_numpy(information[kept]).float()
    matrix = torch.sparse_coo_tensor(places, values, (len(numbers),) * 2).coalesce()
    torch.manual_seed(seed)
    left, strengths, _ = torch.svd_lowrank(matrix, width, ROUNDS)
    found = (left * strengths**0.5).numpy()
    return {word: found[number] for word, number in numbers.items() if alone[number]}


def _known(text: str, numbers: dict[str, int]) -> NDArray[np.int64]:
    """The numbers of the words that have one; others are passed over."""
    return np.array([numbers[word.text] for word in words(text) if word.text in numbers], np.int64)


def _pairs(texts: Sequence[NDArray[np.int64]], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each pair of words that stand near each other as one number, and how often they do, near ones for more."""
    gap = np.full(WINDOW, -1, np.int64)
    line = np.concatenate([piece for text in texts for piece in (text, gap)])
    codes, weights = [], []
    for distance in range(1, WINDOW + 1):
        one, other = line[:-distance], line[distance:]
        both = (one >= 0) & (other >= 0)
        for first, second in ((one, other), (other, one)):
            codes.append(first[both] * count + second[both])
            weights.append(np.full(int(both.sum()), 1 / distance))
    found, where = np.unique(np.concatenate(codes), return_inverse=True)
    return found, np.bincount(where, np.concatenate(weights)).astype(np.float64)
