"""Training rows: windows of running text and packed dialogues, as ids, positions, targets and loss weights.

Rule: every row has exactly the asked length; positions may jump, so that distances up to the whole context are seen
although rows are short (positional skip-wise training, arXiv 2309.10400).
"""

from collections.abc import Iterator
from random import Random

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trainers.starter import dialogues, vocabulary
from trainers.starter.corpus import Corpus

Row = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
REPEATS = {"asp": 3, "pb": 3, "Aesop's Fables": 3, "fairytaleqa": 2, "wordnet": 2, "factbook": 3}
UNSAID = 0.1


class Rows:
    """Draws rows for one training run; all randomness comes from `seed`."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, context: int, seed: int) -> None:
        self.rng = Random(seed)
        self.tokenizer = tokenizer
        self.context = context
        self.text = running_text(corpus, tokenizer, self.rng)
        self.talk = dialogues.stream(corpus.makers, self.rng)
        self.makers = corpus.makers
        self.tools = corpus.tools

    def window(self, length: int) -> Row:
        """Running text, every token counts."""
        start = self.rng.randrange(len(self.text) - length - 1)
        ids = self.text[start : start + length + 1].astype(np.int64)
        return ids[:-1], self.positions(length), ids[1:], np.ones(length, np.float32)

    def packed(self, length: int, long_first: bool, tools: bool = False) -> Row:
        """Dialogues one after the other, with `tools` those with tools; with `long_first` the first asks its question
        below a long text."""
        ids: list[int] = []
        weights: list[float] = []
        while len(ids) <= length:
            turns = self.tools(self.rng) if tools else next(self.talk)
            if long_first and not ids:
                turns = self.under_long_text(length, turns)
            new, said = vocabulary.encode(self.tokenizer, turns, UNSAID)
            ids += new
            weights += said
        whole = np.array(ids[: length + 1], np.int64)
        return whole[:-1], self.positions(length), whole[1:], np.array(weights[1 : length + 1], np.float32)

    def under_long_text(self, length: int, turns: dialogues.Dialogue) -> dialogues.Dialogue:
        """The dialogue with its first question below running text of up to 0.9 `length` tokens."""
        count = int(length * self.rng.uniform(0.2, 0.9))
        start = self.rng.randrange(len(self.text) - count)
        text = self.tokenizer.decode(self.text[start : start + count].tolist(), skip_special_tokens=True)
        at = 1 if turns[0][0] == "system" else 0
        system, (_, question), rest = turns[:at], turns[at], turns[at + 1 :]
        if not system and self.rng.random() < 0.3:
            return (("system", text), ("user", question), *rest)
        return (*system, ("user", f"{text}\n\n{question}"), *rest)

    def positions(self, length: int) -> NDArray[np.int64]:
        """0, 1, 2, …; in a fifth of the rows with one or two jumps that stay inside the context."""
        steps = np.ones(length, np.int64)
        steps[0] = 0
        if self.rng.random() < 0.2:
            room = self.context - length
            for _ in range(self.rng.choice((1, 2))):
                jump = int(room * self.rng.random())
                room -= jump
                steps[self.rng.randrange(1, length)] += jump
        return np.cumsum(steps)


def running_text(corpus: Corpus, tokenizer: Tokenizer, rng: Random) -> NDArray[np.uint16]:
    """All documents in random order, some of them several times, with the end token after each."""
    documents = [x.text for x in corpus.text for _ in range(REPEATS.get(x.source, 1))]
    rng.shuffle(documents)
    end = tokenizer.token_to_id(vocabulary.END)
    encoded = (np.array([*e.ids, end], np.uint16) for e in tokenizer.encode_batch(documents))
    return np.concatenate(list(encoded))


def stacked(rows: Iterator[Row]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    ids, positions, targets, weights = zip(*rows, strict=True)
    return np.stack(ids), np.stack(positions), np.stack(targets), np.stack(weights)
