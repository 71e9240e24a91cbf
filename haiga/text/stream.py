"""An answer's text, piece by piece, to events.

Rule: how the text is cut into pieces never changes what the events fold to, and no character of a stop string is
ever shown. An answer without text has no block.
"""

from collections import deque
from collections.abc import Iterable

from haiga.core.generation import BlockStarted, BlockStopped, Event, TextDelta, TokenLogprob
from haiga.core.messages import Text
from haiga.text.scanner import Scanner


class AnswerStream:
    """Turns text into block events until a stop string is complete; `matched` is that string then.

    Of several stop strings the one that is complete first wins, of two that end together the longer.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self.matched: str | None = None
        self._scanner = Scanner(stop)
        self._index = 0
        self._open = False
        self._logprobs = _Logprobs()

    def feed(self, text: str, logprobs: Iterable[TokenLogprob] = ()) -> list[Event]:
        """Events for the next piece; after a match whatever follows is dropped."""
        if self.matched is not None:
            return []
        self._logprobs.take(len(text), logprobs)
        found = self._scanner.feed(text)
        self.matched = found.match
        return self._show(found.text)

    def finish(self) -> list[Event]:
        """What was held back, and the end of the open block."""
        events = self._show(self._scanner.finish())
        if self._open:
            self._open = False
            events.append(BlockStopped(self._index))
        return events

    def _show(self, text: str) -> list[Event]:
        if not text:
            return []
        events: list[Event] = [] if self._open else [BlockStarted(self._index, Text(""))]
        self._open = True
        return [*events, TextDelta(self._index, text, self._logprobs.release(len(text)))]


class _Logprobs:
    """Keeps each token's log probability until the text it begins is shown."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self._taken = 0
        self._shown = 0

    def take(self, length: int, logprobs: Iterable[TokenLogprob]) -> None:
        self._waiting.extend((self._taken, logprob) for logprob in logprobs)
        self._taken += length

    def release(self, length: int) -> tuple[TokenLogprob, ...]:
        self._shown += length
        out: list[TokenLogprob] = []
        while self._waiting and self._waiting[0][0] < self._shown:
            out.append(self._waiting.popleft()[1])
        return tuple(out)
