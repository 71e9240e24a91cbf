"""A prompt that is given back with its answer, token by token.

Rule: scores come in while the prompt is computed; it is told once, when it is complete.
"""

from collections.abc import Iterable, Sequence

from haiga.core.generation import Echo, PromptToken, TokenLogprob
from haiga.engines.native.protocol import Logprob
from haiga.text.raw import Raw, spelled
from haiga.text.tokenizer import Tokenizer


class Echoing:
    """The prompt `raw`, whose ids are `tokens`."""

    def __init__(self, tokenizer: Tokenizer, raw: Raw, tokens: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens
        self._text, self._starts = spelled(tokenizer, raw)
        self._scores: list[TokenLogprob | None] = [None]

    def add(self, scores: Iterable[Logprob]) -> None:
        """Log probabilities of further tokens, from the second on."""
        for score in scores:
            self._scores.append(scored(self._tokenizer, self._tokens[len(self._scores)], score))

    def event(self) -> Echo:
        scores = self._scores + [None] * (len(self._tokens) - len(self._scores))
        texts = map(self._tokenizer.token_text, self._tokens)
        return Echo(self._text, tuple(map(PromptToken, texts, self._starts, scores)))


def scored(tokenizer: Tokenizer, token: int, logprob: Logprob) -> TokenLogprob:
    """A token with its log probability and the best ones in its place, as text."""
    text = tokenizer.token_text
    top = tuple((other, text(other), value) for other, value in logprob.best)
    return TokenLogprob(token, text(token), logprob.own, top)
