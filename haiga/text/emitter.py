"""Builds the block events of one answer.

Rule: one block is open at a time, blocks are numbered as they open, and a text block opens with its first character.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    InputDelta,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
)
from haiga.core.messages import Block, Text, Thinking, ToolUse


class Emitter:
    """Collects events until they are taken. `spaced`: blanks around text that stand between it and thinking or
    calls are markup, and left out. new_id names a call, sign proves a thought (None: thoughts go unsigned)."""

    def __init__(self, spaced: bool, new_id: Callable[[], str], sign: Callable[[str], str] | None) -> None:
        self.calls = 0
        self._spaced = spaced
        self._new_id = new_id
        self._sign = sign
        self._events: list[Event] = []
        self._open: Literal["text", "thinking", "call"] | None = None
        self._index = -1
        self._thought: list[str] = []
        self._blanks = ""
        self.logprobs = Logprobs()

    def take(self) -> list[Event]:
        """The events since the last time."""
        events, self._events = self._events, []
        return events

    def text(self, text: str) -> None:
        """Characters of the answer proper."""
        text = self._blanks + text
        if self._spaced:
            text, self._blanks = _split_blanks(text if self._open == "text" else text.lstrip())
        if text:
            self._start("text", Text(""))
            self._events.append(TextDelta(self._index, text, self.logprobs.release()))

    def end_text(self) -> None:
        """The answer's end: blanks at its end were text after all."""
        if self._open == "text" and self._blanks:
            self._events.append(TextDelta(self._index, self._blanks, self.logprobs.release()))
        self.close()

    def thinking(self, text: str) -> None:
        """Characters of a thought; blanks around it are left out."""
        text, self._blanks = _split_blanks(self._blanks + text if self._thought else text.lstrip())
        if text:
            self._start("thinking", Thinking(""))
            self._thought.append(text)
            self._events.append(ThinkingDelta(self._index, text))

    def call(self, name: str) -> None:
        """A call begins."""
        self.close()
        self.calls += 1
        self._start("call", ToolUse(self._new_id(), name, {}))

    def arguments(self, pieces: Iterable[str]) -> None:
        """Pieces of the open call's arguments."""
        self._events += [InputDelta(self._index, piece) for piece in pieces if piece]

    def close(self) -> None:
        """Ends the open block; blanks held back are dropped."""
        self._blanks = ""
        if self._open == "thinking" and self._sign:
            self._events.append(SignatureDelta(self._index, self._sign("".join(self._thought))))
        if self._open:
            self._events.append(BlockStopped(self._index))
        self._open = None
        self._thought = []

    def _start(self, kind: Literal["text", "thinking", "call"], block: Block) -> None:
        if self._open == kind:
            return
        blanks = self._blanks
        self.close()
        self._blanks = blanks
        self._open = kind
        self._index += 1
        self._events.append(BlockStarted(self._index, block))


class Logprobs:
    """Keeps each token's log probability until text that it may begin is shown."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self._taken = 0
        self._used = 0

    def take(self, length: int, logprobs: Iterable[TokenLogprob]) -> None:
        """`length` more characters came in, of these tokens."""
        self._waiting.extend((self._taken, logprob) for logprob in logprobs)
        self._taken += length

    def used(self, left: int) -> None:
        """All but the last `left` characters are decided."""
        self._used = self._taken - left

    def release(self) -> tuple[TokenLogprob, ...]:
        """Those of the tokens that begin in what is decided."""
        out: list[TokenLogprob] = []
        while self._waiting and self._waiting[0][0] < self._used:
            out.append(self._waiting.popleft()[1])
        return tuple(out)


def _split_blanks(text: str) -> tuple[str, str]:
    kept = text.rstrip()
    return kept, text[len(kept) :]
