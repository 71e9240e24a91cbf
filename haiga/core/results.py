"""Answers that are kept to be given again: who wants them, and how a kept one says so (`Usage.reused`)."""

from dataclasses import dataclass


@dataclass(slots=True)
class Reuse:
    """What one HTTP request, or one line of a batch, says of kept answers: `wanted` None leaves it to the server. Of
    the answers that make it up `looked` were looked for among kept ones, and `found` there."""

    wanted: bool | None = None
    looked: int = 0
    found: int = 0

    @property
    def told(self) -> str | None:
        """hit: all of it was kept; miss: not all; None: nothing was looked for."""
        if not self.looked:
            return None
        return "hit" if self.found == self.looked else "miss"
