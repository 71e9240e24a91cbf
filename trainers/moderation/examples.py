"""One labelled text, and how labels become numbers.

Rule: a label is 1, 0 or unknown; what a source does not speak of is unknown, never 0.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from haiga.core.moderation import CATEGORIES

FRIENDLY: frozenset[str] = frozenset()
ALL = frozenset(CATEGORIES)


@dataclass(frozen=True, slots=True)
class Example:
    """`labels`: categories that hold. `known`: categories that the source speaks of. `source`, `group`: where it comes
    from, and whom it speaks of. `family`: the template or document it was made of, which is in one split as a whole,
    and behind " #" which of its parts. `votes`: the share of annotators that saw a category, where a source tells."""

    text: str
    labels: frozenset[str]
    known: frozenset[str]
    source: str
    group: str = ""
    family: str = ""
    votes: tuple[tuple[str, float], ...] = ()

    @property
    def targets(self) -> list[float]:
        """1, 0 or -1 (unknown) by category."""
        return [(1.0 if name in self.labels else 0.0) if name in self.known else -1.0 for name in CATEGORIES]

    @property
    def taught(self) -> list[float]:
        """As `targets`, annotators' shares where they are known: those who disagree teach doubt."""
        votes = dict(self.votes)
        return [votes.get(name, target) for name, target in zip(CATEGORIES, self.targets, strict=True)]


def held_out(example: Example, share: float) -> bool:
    """Whether it is in the held-out part: by its family (its text, if it has none), the same in every run."""
    return (
        zlib.crc32((example.family.partition(" #")[0] or f"{example.source}/{example.text}").encode()) % 1000
        < share * 1000
    )


def split(examples: Iterable[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Those to train on, and those held out."""
    kept: list[Example] = []
    held: list[Example] = []
    for example in examples:
        (held if held_out(example, share) else kept).append(example)
    return kept, held
