"""What a text is judged for, and what a judgement says.

The categories are those of OpenAI's moderation endpoint, in its order and under its names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "sexual",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm/intent",
    "self-harm/instructions",
    "self-harm",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities by category, each from 0 to 1. Of a text in several windows, each category's worst."""

    values: Mapping[str, float]

    def over(self, thresholds: Mapping[str, float]) -> tuple[str, ...]:
        """The categories at or over their threshold, in order; one without a threshold is never over it."""
        return tuple(name for name, score in self.values.items() if score >= thresholds.get(name, 2.0))


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, [start, end) in characters, and how much of a category's score rests on it."""

    start: int
    end: int
    weight: float
