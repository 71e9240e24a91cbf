"""What a text is judged for, and what a judgement says.

The categories are those of OpenAI's moderation endpoint, in its order and under its names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from haiga.core.messages import ImageSource

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
OF_IMAGES = frozenset(
    ("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence", "violence/graphic")
)
MOST_CHARACTERS = 1_000_000  # of all texts of one request together
Risk: TypeAlias = Literal["none", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities by category, each from 0 to 1. Of a text in several windows, each category's worst.
    `words` is how many words were read for them."""

    values: Mapping[str, float]
    words: int = 0

    def over(self, thresholds: Mapping[str, float]) -> tuple[str, ...]:
        """The categories at or over their threshold, in order; one without a threshold is never over it."""
        return tuple(name for name, score in self.values.items() if score >= thresholds.get(name, 2.0))


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, [start, end) in characters, and how much of a category's score rests on it."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Item:
    """What is judged as one: texts, each by itself, and images; the worst counts."""

    texts: tuple[str, ...]
    images: tuple[ImageSource, ...] = ()


@dataclass(frozen=True, slots=True)
class ModerationRequest:
    """Items to be judged. `explain`: what carried each decision is wanted, and `rewrite`, by the model of that name, ""
    for whichever there is, a text that says the same without harm."""

    model: str
    items: tuple[Item, ...]
    explain: bool = False
    rewrite: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A span of the item's text number `text` that carried its score in a category."""

    category: str
    text: int
    span: Span


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A text that says the same without harm, by `model`, and how it was judged itself. Without a `text` none was
    found, and `problem` says why."""

    model: str
    text: str | None
    scores: Scores = field(default_factory=lambda: Scores({}))
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an item was judged as it was: `category` is the one that decided, by the share that its score has of its
    threshold."""

    risk: Risk
    category: str
    reasons: tuple[Reason, ...]
    rewrite: Rewrite | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """How an item was judged. `over` are the categories over their thresholds, `also` what else flags it (terms, rules,
    images that nobody could judge), by name; `applied` says what each category was judged by; `unjudged` are the
    numbers of the images that were not."""

    scores: Scores
    over: tuple[str, ...]
    also: tuple[str, ...]
    applied: Mapping[str, tuple[Literal["text", "image"], ...]]
    unjudged: tuple[int, ...] = ()
    explanation: Explanation | None = None

    @property
    def flagged(self) -> bool:
        return bool(self.over or self.also)


@dataclass(frozen=True, slots=True)
class Moderation:
    """How a request's items were judged, in order. `policies` are those that decided what is flagged, `tokens` the
    words that were read."""

    items: tuple[Judged, ...]
    tokens: int
    policies: tuple[str, ...] = ()
