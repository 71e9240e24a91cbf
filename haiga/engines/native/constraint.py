"""What holds one answer, as the loop asks for it: a grammar, a bound on its thoughts, or both.

Rule: grammars are compiled off the loop's thread, so that a large schema delays nobody but its own request.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from haiga.core.errors import Invalid
from haiga.engines.native.protocol import Thought
from haiga.text.grammar import Grammars, Matcher


class GrammarConstraint:
    """Masks for one answer. The mask is the same memory each time, valid until the next call."""

    def __init__(self, grammars: Grammars, grammar: str) -> None:
        self._matcher: Matcher = grammars.matcher(grammar)
        self._words = np.zeros(grammars.words, np.int32)

    def mask(self) -> NDArray[np.int32]:
        """One bit per token, 1 for allowed. Raises Invalid when nothing can follow, so for a `$ref` to itself."""
        self._matcher.fill(self._words)
        if problem := self._matcher.problem:
            raise Invalid(f"the schema cannot be enforced: {problem}")
        return self._words

    def accept(self, token: int) -> None:
        """This token was chosen."""
        self._matcher.accept(token)


class ThoughtConstraint:
    """Ends the thought of one answer in which the budget for all of them runs out, and at once any that is begun after
    it, token by token of the closing tag; elsewhere `grammar` holds.

    `size`: the vocabulary's, `spell`: the bytes of a token.
    """

    def __init__(
        self, thought: Thought, size: int, spell: Callable[[int], bytes], grammar: GrammarConstraint | None
    ) -> None:
        self._thought = thought
        self._open = thought.open.encode()
        self._close = thought.close.encode()
        self._limit = max(0, thought.budget - len(thought.closing))
        self._words = np.zeros((size + 31) // 32, np.int32)
        self._spell = spell
        self._grammar = grammar
        self._where: Literal["start", "thinking", "done"] = "thinking" if thought.opened else "start"
        self._said = b""  # since the answer, a thought or what follows it began; of a thought only the end
        self._length = 0  # tokens of all thoughts so far
        self._closed = 0  # tokens of the closing tag said last

    def mask(self) -> NDArray[np.int32] | None:
        """One bit per token, 1 for allowed; None for any."""
        free = self._grammar.mask() if self._grammar else None
        if self._where != "thinking" or self._length < self._limit:
            return free
        token = self._thought.closing[self._closed]
        if free is not None and not _allows(free, token):
            return free  # the grammar first wants half a character completed
        self._words[:] = 0
        self._words.view(np.uint32)[token // 32] = 1 << token % 32
        return self._words

    def accept(self, token: int) -> None:
        """This token was chosen."""
        if self._grammar:
            self._grammar.accept(token)
        if self._where == "done":
            return
        self._said += self._spell(token)
        self._length += self._where == "thinking"
        if self._where == "start":
            self._begin()
        elif self._close in self._said:
            self._enter("start")
        else:
            self._think(token)

    def _begin(self) -> None:
        """Whether a thought begins here, blanks aside."""
        if self._thought.anywhere:
            if self._open in self._said:
                self._enter("thinking")
            self._said = self._said[-len(self._open) :]
            return
        said = self._said.lstrip()
        if said.startswith(self._open):
            self._enter("thinking")
        elif not self._open.startswith(said):
            self._enter("done")

    def _think(self, token: int) -> None:
        closing = self._thought.closing
        self._closed = self._closed + 1 if token == closing[self._closed] else int(token == closing[0])
        self._closed %= len(closing)
        self._said = self._said[-len(self._close) :]

    def _enter(self, where: Literal["start", "thinking", "done"]) -> None:
        self._where, self._said, self._closed = where, b"", 0


def _allows(words: NDArray[np.int32], token: int) -> bool:
    return bool(words[token // 32] >> token % 32 & 1)
