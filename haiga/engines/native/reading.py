"""One answer being read: updates from the engine process in, events out.

Rule: token by token, so that usage ends exactly where a stop string was complete.
"""

from collections.abc import Iterator
from dataclasses import replace

from haiga.core.generation import Event, Finished, Progress, Started, StopReason, TokenLogprob, Usage
from haiga.engines.native.echoing import Echoing, scored
from haiga.engines.native.protocol import Update
from haiga.text.detokenizer import Detokenizer
from haiga.text.stream import AnswerStream
from haiga.text.tokenizer import Tokenizer


class Reading:
    """`prompt` is the prompt's length in tokens; `echo` gives it back, where that is wanted."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        detokenizer: Detokenizer,
        stream: AnswerStream,
        prompt: int,
        echo: Echoing | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._detokenizer = detokenizer
        self._stream = stream
        self._prompt = prompt
        self._echo = echo
        self._usage = Usage()
        self._started = False
        self.finished = False
        self.ended_by_engine = False

    def feed(self, update: Update) -> Iterator[Event]:
        """Events of one update; sets `finished` once the answer is complete."""
        if not self._started:
            self._started = True
            self._usage = replace(update.usage, output=0)
            yield Started(self._usage, None, update.waited, update.ran)
        elif not update.tokens and not update.stop:
            yield Progress(update.prefilled, self._prompt)
        yield from self._echoed(update)
        self.ended_by_engine = update.stop is not None
        self._usage = replace(self._usage, accepted=update.usage.accepted, rejected=update.usage.rejected)
        yield from self._text(update)
        if not self.finished and update.stop:
            yield from self._end(update.stop)

    def _echoed(self, update: Update) -> Iterator[Event]:
        """The prompt, once it is computed."""
        if self._echo is None:
            return
        self._echo.add(update.scores)
        if update.tokens or update.stop:
            yield self._echo.event()
            self._echo = None

    def _text(self, update: Update) -> Iterator[Event]:
        for position, token in enumerate(update.tokens):
            thinks = int(self._stream.thinks)
            self._usage = replace(self._usage, output=self._usage.output + 1, thinking=self._usage.thinking + thinks)
            yield from self._stream.feed(self._detokenizer.add([token]), self._logprobs(update, position))
            if self._stream.matched is not None:
                yield from self._end("stop_sequence")
                return

    def _end(self, stop: StopReason) -> Iterator[Event]:
        yield from self._stream.feed(self._detokenizer.finish())
        yield from self._stream.finish()
        matched = self._stream.matched
        self.finished = True
        if matched is not None:
            stop = "stop_sequence"
        elif stop == "end_turn" and self._stream.calls:
            stop = "tool_use"
        yield Finished(stop, self._usage, matched)

    def _logprobs(self, update: Update, position: int) -> tuple[TokenLogprob, ...]:
        if not update.logprobs:
            return ()
        return (scored(self._tokenizer, update.tokens[position], update.logprobs[position]),)
