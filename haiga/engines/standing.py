"""How a model that is run here stands: its card, its memory, and how many ask it now.

Rule: each request holds a place while it lasts, however it ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from haiga.core.ports import ModelCard


class Standing:
    """`memory` is in bytes, as the seams tell it."""

    def __init__(self, card: ModelCard, memory: int = 0) -> None:
        self._card = card
        self._memory = memory
        self._busy = 0

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def memory(self) -> int:
        return self._memory

    @property
    def busy(self) -> int:
        return self._busy

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among the requests under way."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
