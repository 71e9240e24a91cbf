"""Routes: names behind which several models stand, and when the next one is tried. Pure values.

Rule: a conversation goes where it went before, as long as that model answers: the choice among weighted models is made
by what the conversation begins with, so that prompt caches hit and nothing has to be remembered.
"""

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["context", "capability", "rate_limit", "moderation", "error", "timeout"]
REASONS: tuple[Reason, ...] = ("context", "capability", "rate_limit", "moderation", "error", "timeout")
Step: TypeAlias = tuple[tuple[str, float], ...]  # models and their weights


@dataclass(frozen=True, slots=True)
class Route:
    """`name` may be a pattern. `steps` are tried in their order; `on` says for which reasons; `timeout` is how many
    seconds a model may take until it says something, if another one is left."""

    name: str
    steps: tuple[Step, ...]
    on: frozenset[Reason] = frozenset(REASONS)
    timeout: float | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model, each once."""
        return tuple(dict.fromkeys(model for step in self.steps for model, _ in step))

    def order(self, conversation: str) -> tuple[str, ...]:
        """The models in the order in which they are tried for a conversation."""
        return tuple(dict.fromkeys(model for step in self.steps for model in ordered(step, conversation)))

    def answers_to(self, name: str) -> bool:
        return self.name == name or fnmatchcase(name, self.name)


def ordered(step: Step, conversation: str) -> list[str]:
    """Weighted rendezvous hashing (Thaler and Ravishankar 1998, weights by Schindelhauer and Schomaker 2005): each
    model comes first for its share of all conversations, and taking one away moves only those that it had."""
    return [model for model, _ in sorted(step, key=lambda pair: -_score(pair[0], pair[1], conversation))]


def _score(model: str, weight: float, conversation: str) -> float:
    digest = sha256(f"{conversation}\0{model}".encode(errors="replace")).digest()
    return -weight / math.log((int.from_bytes(digest[:8], "big") + 1) / (2**64 + 2))
