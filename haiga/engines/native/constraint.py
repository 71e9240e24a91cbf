"""A grammar's hold on one answer, as the loop asks for it.

Rule: grammars are compiled off the loop's thread, so that a large schema delays nobody but its own request.
"""

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Failed
from haiga.text.grammar import Grammars, Matcher


class GrammarConstraint:
    """Masks for one answer. The mask is the same memory each time, valid until the next call."""

    def __init__(self, grammars: Grammars, grammar: str) -> None:
        self._matcher: Matcher = grammars.matcher(grammar)
        self._words = np.zeros(grammars.words, np.int32)

    def mask(self) -> NDArray[np.int32]:
        """One bit per token, 1 for allowed. Raises Failed when the grammar's machine gave up."""
        self._matcher.fill(self._words)
        if problem := self._matcher.problem:
            raise Failed(f"the grammar cannot go on: {problem}")
        return self._words

    def accept(self, token: int) -> None:
        """This token was chosen."""
        self._matcher.accept(token)
