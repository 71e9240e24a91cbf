"""An answer with numbers of passages to one with citations.

Rule: what rests on a passage is a text block of its own: the sentence, or the part of it since the last number, before
the number. So a sentence is held back until it is known whether a number follows; the text of all blocks is the answer
without the numbers and the blanks before them, however it was cut into pieces.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    CitationDelta,
    Delta,
    Event,
    TextDelta,
    TokenLogprob,
)
from haiga.core.messages import Text
from haiga.text.citing.passages import Catalogue, Span

_NUMBERS = r"\s*\d{1,7}(?:\s*[-–,;]\s*\d{1,7})*\s*"
_ENDED = r"(?:[.!?…][\"'”’»)]*\s+|\n\s*)"


class CitingStream:
    """Turns the events of one answer into those that the caller is to see."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        before, after = map(re.escape, catalogue.style)
        self._mark = re.compile(rf"\s*{before}({_NUMBERS}){after}")
        self._sentence = re.compile(rf"{_ENDED}(?=[^\s{re.escape(catalogue.style[0][0])}])|[。！？](?=[^\s\[{{])")
        self._index = -1  # of the block that is open, or was last
        self._open: str = ""  # "plain", "cited" or "other"
        self._reading = False
        self._held = ""
        self._logprobs: list[TokenLogprob] = []

    def feed(self, event: Event) -> list[Event]:
        """What becomes of the next event."""
        match event:
            case BlockStarted(block=Text()):
                self._reading = True
                return []
            case TextDelta() if self._reading:
                self._held += event.text
                self._logprobs += event.logprobs
                return list(self._decided(last=False))
            case BlockStopped() if self._reading:
                self._reading = False
                return [*self._decided(last=True), *self._closed()]
            case BlockStarted():
                self._index += 1
                return [BlockStarted(self._index, event.block)]
            case BlockStopped():
                return [BlockStopped(self._index)]
        return [self._renumbered(event)]

    def _renumbered(self, event: Event) -> Event:
        return replace(event, index=self._index) if isinstance(event, Delta) else event

    def _decided(self, last: bool) -> Iterator[Event]:
        """What is known by now of the text that is held."""
        while self._held:
            mark = self._valid_mark()
            sentence = self._sentence.search(self._held)
            if sentence and (mark is None or sentence.end() <= mark[0].start()):
                yield from self._plain(sentence.end())
            elif mark is not None:
                yield from self._cited(*mark)
            elif last:
                yield from self._plain(len(self._held))
            else:
                return

    def _valid_mark(self) -> tuple[re.Match[str], list[dict[str, Any]]] | None:
        """The first mark that cites something."""
        for match in self._mark.finditer(self._held):
            if cited := self._catalogue.citations(_ranges(match[1])):
                return match, cited
        return None

    def _plain(self, end: int) -> Iterator[Event]:
        text, self._held = self._held[:end], self._held[end:]
        yield from self._turned("plain")
        yield self._text(text)

    def _cited(self, match: re.Match[str], citations: list[dict[str, Any]]) -> Iterator[Event]:
        claim, self._held = self._held[: match.start()], self._held[match.end() :]
        blanks = claim[: len(claim) - len(claim.lstrip())]
        if claim.strip():
            if blanks and self._open == "plain":
                yield self._text(blanks)
                claim = claim[len(blanks) :]
            yield from self._closed()
            yield from self._turned("cited")
            yield self._text(claim)
        elif self._open != "cited":
            return  # a number after nothing
        yield from (CitationDelta(self._index, citation) for citation in citations)

    def _text(self, text: str) -> Event:
        logprobs, self._logprobs = tuple(self._logprobs), []
        return TextDelta(self._index, text, logprobs)

    def _turned(self, kind: str) -> Iterator[Event]:
        """A block of this kind is open from now on."""
        if self._open == kind:
            return
        yield from self._closed()
        self._open = kind
        self._index += 1
        yield BlockStarted(self._index, Text(""))

    def _closed(self) -> Iterator[Event]:
        if self._open:
            yield BlockStopped(self._index)
        self._open = ""


def _ranges(written: str) -> list[Span]:
    """`3`, `3-5`, `3, 7` as pairs of first and last."""
    ranges = []
    for part in re.split("[,;]", written):
        numbers = [int(number) for number in re.findall(r"\d+", part)]
        ranges.append((numbers[0], numbers[-1]))
    return ranges


def with_numbers(block: Text, catalogue: Catalogue) -> Text:
    """A block of an earlier answer as the model wrote it, with the numbers of what it cites."""
    cited: Mapping[int, None] = dict.fromkeys(n for each in block.citations for n in catalogue.numbers(each))
    if not cited:
        return block
    return Text(f"{block.text} {catalogue.mark(*cited)}", (), block.cache, block.extra)
