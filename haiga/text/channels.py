"""Reads harmony's channels (formats/harmony.py): a header, then what the channel is for.

Rule: `analysis` is thinking, a message to a function is a call, everything else is text; the header's markup and the
tokens between messages are never shown.
"""

import re
from collections.abc import Collection, Mapping

from haiga.text.emitter import Emitter
from haiga.text.formats.arguments import Reader, Schema
from haiga.text.formats.format import Format
from haiga.text.formats.harmony import CHANNEL, ENDS, MESSAGE, START
from haiga.text.scanner import Scanner

_TO = re.compile(r"to=(?:functions\.)?([A-Za-z0-9_.\-]+)")


class ChannelsReader:
    """A whole answer on channels. `matched` is the stop string that ended its text."""

    def __init__(
        self,
        format_: Format,
        schemas: Mapping[str, Schema],
        emitter: Emitter,
        eager: Collection[str] = (),
        stop: tuple[str, ...] = (),
        continues: bool = False,
    ) -> None:
        self._format = format_
        self._schemas = schemas
        self._emitter = emitter
        self._eager = eager
        self._stop = stop
        self.matched: str | None = None
        self._arguments: Reader | None = None
        self._expect("text" if continues else "header")

    @property
    def thinks(self) -> bool:
        """Whether what comes next belongs to a thought."""
        return self._kind == "thinking"

    def feed(self, text: str) -> None:
        while text and self.matched is None:
            if self._arguments:
                text = self._read(self._arguments, text)
                continue
            found = self._scanner.feed(text)
            self._show(found.text)
            text = found.rest
            if found.match:
                self._turn(found.match)

    def finish(self) -> None:
        self._show(self._scanner.finish())
        if self._arguments:
            self._emitter.arguments([self._arguments.finish()])
        self._emitter.end_text()

    def _read(self, arguments: Reader, text: str) -> str:
        read = arguments.feed(text)
        self._emitter.arguments(read.pieces)
        if read.rest is None:
            return ""
        self._emitter.close()
        self._arguments = None
        self._expect("between")
        return read.rest

    def _show(self, text: str) -> None:
        if self._kind == "header":
            self._header += text
        elif self._kind == "thinking":
            self._emitter.thinking(text)
        elif self._kind == "text":
            self._emitter.text(text)

    def _turn(self, match: str) -> None:
        """A message begins or ends."""
        if match == MESSAGE:
            self._begin(self._header)
        elif match in (*ENDS, START, CHANNEL):
            self._emitter.close()
            self._expect("header" if match in (START, CHANNEL) else "between")
        else:
            self.matched = match

    def _begin(self, header: str) -> None:
        if to := _TO.search(header):
            self._emitter.call(to[1])
            self._arguments = self._format.arguments.reader(self._schemas.get(to[1], {}), to[1] in self._eager)
            self._kind = "call"
        else:
            self._expect("thinking" if "analysis" in header else "text")

    def _expect(self, kind: str) -> None:
        patterns = {"header": (MESSAGE,), "between": (START, CHANNEL), "text": (*ENDS, START, *self._stop)}
        self._kind, self._header = kind, ""
        self._scanner = Scanner(patterns.get(kind, (*ENDS, START)))
