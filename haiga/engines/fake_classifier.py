"""A classifier with no model: a text has a category's score by the words that are named for it.

Rule: deterministic, and true to the TextClassifier seam in all else. It serves the tests of everything above the seam,
and measures what moderation itself costs.
"""

import asyncio
from collections.abc import Mapping, Sequence

from haiga.core.errors import Failed
from haiga.core.moderation import CATEGORIES, Scores, Span
from haiga.text.words import words

HIGH, LOW = 0.9, 0.01


class FakeClassifier:
    """`named` says by which word a text has which category. `pace` is the silence before each answer, in seconds;
    `broken`: it fails instead."""

    def __init__(
        self, named: Mapping[str, str], name: str = "fake-moderation", pace: float = 0.0, broken: bool = False
    ) -> None:
        self.name = name
        self.thresholds = dict.fromkeys(CATEGORIES, 0.5)
        self.pace = pace
        self.broken = broken
        self._named = dict(named)

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        await asyncio.sleep(self.pace)
        if self.broken:
            raise Failed("the classifier is broken")
        return [self._scores(text) for text in texts]

    async def explain(self, text: str, category: str) -> list[Span]:
        """The words that give it the category."""
        found = [word for word in words(text) if self._named.get(word.text) == category]
        return [Span(word.start, word.end, HIGH - LOW) for word in found]

    def close(self) -> None:
        """There is nothing to end."""

    def _scores(self, text: str) -> Scores:
        read = words(text)
        found = {self._named.get(word.text) for word in read}
        return Scores({name: HIGH if name in found else LOW for name in CATEGORIES}, len(read))
