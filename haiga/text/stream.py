"""An answer's text, piece by piece, to events.

Rule: how the text is cut into pieces never changes what the events fold to. No character of a stop string, of a
thinking tag or of a call's markup is ever shown as text, and no character of an argument is lost. An answer without
text has no text block.

Stop strings are looked for in text alone: inside a thought or a call they stand for themselves.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from haiga.core.generation import Event, TokenLogprob
from haiga.text.calls import CallsReader, matched
from haiga.text.channels import ChannelsReader
from haiga.text.emitter import Emitter
from haiga.text.formats.arguments import Schema
from haiga.text.formats.format import Format
from haiga.text.scanner import Scanner


@dataclass(frozen=True, slots=True)
class ThinkTags:
    """What encloses a model's reasoning. opened: the prompt ends inside already."""

    open: str = "<think>"
    close: str = "</think>"
    opened: bool = False


def new_call_id() -> str:
    """An id for a tool call, as the Messages API writes them."""
    return f"toolu_{secrets.token_hex(12)}"


class AnswerStream:
    """Turns text into block events until a stop string is complete; `matched` is that string then.

    Of several stop strings the one that is complete first wins, of two that end together the longer. With `format`
    calls of the tools in `schemas` (name to JSON Schema) become ToolUse blocks; arguments come as whole keys and
    values, or as they arrive for the tools in `eager`. With `thinking` what its tags enclose becomes Thinking.
    `continues`: the answer goes on from a prefill, and so begins in text.
    """

    def __init__(
        self,
        stop: tuple[str, ...] = (),
        *,
        format: Format | None = None,
        schemas: Mapping[str, Schema] | None = None,
        thinking: ThinkTags | None = None,
        eager: Collection[str] = (),
        continues: bool = False,
        new_id: Callable[[], str] = new_call_id,
        sign: Callable[[str], str] | None = None,
    ) -> None:
        self.matched: str | None = None
        self._emitter = Emitter(spaced=bool(format or thinking), new_id=new_id, sign=sign)
        self._stop = stop
        self._format = format
        self._schemas = schemas or {}
        self._thinking = thinking
        self._eager = eager
        self._calls: CallsReader | None = None
        self._channels: ChannelsReader | None = None
        if format and format.channels:
            self._channels = ChannelsReader(format, self._schemas, self._emitter, eager, stop, continues)
        self._starters = () if continues else self._starting()
        self._opening = ""
        self._triggers = format.triggers(self._schemas) if format and not format.at_start else ()
        self._where: Literal["start", "thinking", "text", "calls"] = "start"
        self._scanner = Scanner(())
        self._go("thinking" if thinking and thinking.opened else "start" if self._starters else "text")

    @property
    def calls(self) -> int:
        """How many calls have begun."""
        return self._emitter.calls

    @property
    def thinks(self) -> bool:
        """Whether what comes next belongs to a thought."""
        return self._channels.thinks if self._channels else self._where == "thinking"

    def feed(self, text: str, logprobs: Iterable[TokenLogprob] = ()) -> list[Event]:
        """Events for the next piece; after a match whatever follows is dropped."""
        if self.matched is not None:
            return []
        self._emitter.logprobs.take(len(text), logprobs)
        if self._channels:
            self._emitter.logprobs.used(0)
            self._channels.feed(text)
            self.matched = self._channels.matched
            return self._emitter.take()
        while text and self.matched is None:
            text = self._advance(text)
        return self._emitter.take()

    def finish(self) -> list[Event]:
        """What was held back, and the end of the open block."""
        self._emitter.logprobs.used(0)
        if self._channels:
            self._channels.finish()
        elif self._calls:
            self._calls.finish()
        elif self._where == "thinking":
            self._emitter.thinking(self._scanner.finish())
        else:
            self._emitter.text(self._opening + self._scanner.finish())
        self._emitter.end_text()
        return self._emitter.take()

    def _advance(self, text: str) -> str:
        """Reads some of `text` where the answer is; what is left is for where it is then."""
        if self._where == "start":
            return self._begin(text)
        if self._where == "calls" and self._calls:
            return self._read_calls(self._calls, text)
        found = self._scanner.feed(text)
        if self._where == "thinking":
            self._emitter.thinking(found.text)
        else:
            self._emitter.logprobs.used(len(found.match or "") + len(found.rest) + self._scanner.held)
            self._emitter.text(found.text)
        if found.match:
            self._turn(found.match)
        return found.rest

    def _begin(self, text: str) -> str:
        """Decides, blanks aside, whether the answer starts with a thought, a call or text."""
        self._opening += text
        ways = {starter: matched(self._opening, starter) for starter in self._starters}
        for starter, end in ways.items():
            if isinstance(end, int):
                return self._started(starter, end)
        if "more" in ways.values():
            return ""
        opening, self._opening = self._opening, ""
        self._go("text")
        return opening

    def _started(self, starter: str, end: int) -> str:
        opening, self._opening = self._opening, ""
        if self._thinking and starter == self._thinking.open:
            self._go("thinking")
            return opening[end:]
        self._go("calls")
        at = matched(opening, self._format.open) if self._format else 0
        return opening[at:] if isinstance(at, int) else opening

    def _read_calls(self, calls: CallsReader, text: str) -> str:
        behind = calls.feed(text)
        if behind is None:
            return ""
        self._go("text")
        return behind

    def _turn(self, match: str) -> None:
        """A thought ends, calls begin, or the answer is over."""
        if self._where == "thinking":
            self._emitter.close()
            self._go("text" if not self._starters else "start")
        elif match in self._triggers and match not in self._stop:
            self._go("calls")
        else:
            self.matched = match

    def _go(self, where: Literal["start", "thinking", "text", "calls"]) -> None:
        self._where = where
        self._calls = None
        if where == "calls" and self._format:
            self._calls = CallsReader(self._format, self._schemas, self._emitter, self._eager)
        thinking = (self._thinking.close,) if self._thinking else ()
        self._scanner = Scanner(thinking if where == "thinking" else (*self._stop, *self._triggers))

    def _starting(self) -> tuple[str, ...]:
        """What turns the very beginning of an answer into a thought or calls."""
        thinking = (self._thinking.open,) if self._thinking and not self._thinking.opened else ()
        calls = self._format.triggers(self._schemas) if self._format and self._format.at_start else ()
        return (*thinking, *calls)
