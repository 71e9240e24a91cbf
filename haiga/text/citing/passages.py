"""Passages of documents, their numbers, and what a citation of some of them says.

Rule: passages are numbered through all sources of a request, from 1, in the order of the prompt. A citation's text is
cut from the source, and its places count as the Messages API counts them: characters and blocks from 0, pages from 1,
the end left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["char_location", "page_location", "content_block_location", "search_result_location"]
Span: TypeAlias = tuple[int, int]

STYLES = (("[", "]"), ("[[", "]]"), ("[#", "]"), ("{{", "}}"))  # how a number is written, the likeliest first
LONG = 600  # characters after which a sentence is cut where it can be
_END = re.compile(r"""[.!?…]["'”’»)\]]*\s+|[。！？][”’」』）]*|\n\s*\n\s*|\n(?=\s*(?:[-*•]|\d+[.)])\s)|\n(?=[#|])""")
_SHORT = re.compile(
    r"(?:^|\W)(?:[A-Z]|Dr|Mr|Mrs|Ms|No|Fig|vs|cf|ca|al|e\.g|i\.e)$"
)  # no sentence ends after these and a dot


def sentences(text: str) -> list[Span]:
    """Where the sentences of a text are, blanks around them left out: also headings, items of lists, and pieces of what
    is very long."""
    found: list[Span] = []
    start = 0
    for end in [*(match.end() for match in _END.finditer(text) if not _shortens(text, match)), len(text)]:
        for piece in _pieces(text, start, end):
            stripped = text[slice(*piece)].strip()
            if stripped:
                at = text.index(stripped, piece[0])
                found.append((at, at + len(stripped)))
        start = end
    return found


def _shortens(text: str, match: re.Match[str]) -> bool:
    """Whether a dot belongs to the word before it."""
    return match[0][0] == "." and _SHORT.search(text, max(0, match.start() - 8), match.start()) is not None


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    while end - start > LONG:
        cut = max(text.rfind(" ", start, start + LONG), text.rfind("\n", start, start + LONG)) + 1
        cut = cut if cut > start else start + LONG
        yield start, cut
        start = cut
    yield start, end


@dataclass(frozen=True, slots=True)
class Source:
    """What can be cited as one: `units` are the texts that places count in (one text, pages, blocks); `fields` are what
    every citation of it says besides its place."""

    kind: Kind
    units: tuple[str, ...]
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Passage:
    """Characters `start` to `end` of unit `unit`."""

    source: Source
    unit: int
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.units[self.unit][self.start : self.end]


class Catalogue:
    """All passages of one request. `style`: what stands before and after a number."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.passages: list[Passage] = []
        self._numbers: dict[int, dict[int, list[int]]] = {}  # of a source's units, by the source's place
        self._sources: list[Source] = []
        for source in sources:
            self._add(source)
        self.style = self._free_style()

    def _add(self, source: Source) -> None:
        numbers = self._numbers[len(self._sources)] = {}
        self._sources.append(source)
        whole = source.kind in ("content_block_location", "search_result_location")
        for unit, text in enumerate(source.units):
            spans = ([(0, len(text))] if text.strip() else []) if whole else sentences(text)
            numbers[unit] = [len(self.passages) + at for at in range(1, len(spans) + 1)]
            self.passages += [Passage(source, unit, *span) for span in spans]

    def _free_style(self) -> tuple[str, str]:
        """The first way of writing a number that no source has in its own text."""
        texts = [text for source in self._sources for text in source.units]
        free = (style for style in STYLES if not any(re.search(_written(r"\d+", style), text) for text in texts))
        return next(free, STYLES[-1])

    def mark(self, *numbers: int) -> str:
        """The numbers as they stand in prompts and answers."""
        return "".join(f"{self.style[0]}{number}{self.style[1]}" for number in numbers)

    def shown(self, source: int, unit: int) -> str:
        """A unit of the source at this place, its passages numbered."""
        text = self._sources[source].units[unit]
        pieces, at = [], 0
        for number in self._numbers[source][unit]:
            passage = self.passages[number - 1]
            pieces += [text[at : passage.start], self.mark(number), " "]
            at = passage.start
        return "".join((*pieces, text[at:]))

    def citations(self, ranges: Iterable[Span]) -> list[dict[str, Any]]:
        """What the numbers `first` to `last` cite, one citation for each source in each range; numbers that no passage
        has are passed over."""
        return [
            _citation(run) for first, last in ranges for run in _runs(self.passages[max(first, 1) - 1 : max(last, 0)])
        ]

    def numbers(self, citation: Mapping[str, Any]) -> list[int]:
        """The numbers of what a citation in an earlier answer cites; none where it is of something else."""
        return [
            number
            for number, passage in enumerate(self.passages, 1)
            if _cites(citation, passage) and passage.text in str(citation.get("cited_text", ""))
        ]

    @property
    def instruction(self) -> str:
        """What the system prompt says of it."""
        one, other, third = self.mark(1), self.mark(2), self.mark(4)
        return (
            f"Passages of the documents begin with their numbers, as in {one}. When something in your answer comes from"
            f" a passage, write the passage's number right after it, in the same way. For example: The sky is blue"
            f" {other}. Grass is green {one}{third}. Write no number after what comes from no passage, and do not speak"
            " of the numbers otherwise."
        )


def _written(number: str, style: tuple[str, str]) -> str:
    return re.escape(style[0]) + number + re.escape(style[1])


def _runs(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    run: list[Passage] = []
    for passage in passages:
        if run and run[-1].source is not passage.source:
            yield run
            run = []
        run.append(passage)
    if run:
        yield run


def _citation(run: Sequence[Passage]) -> dict[str, Any]:
    """Of passages of one source that follow each other."""
    first, last = run[0], run[-1]
    source = first.source
    told = {"type": source.kind, "cited_text": _cut(first, last), **source.fields}
    match source.kind:
        case "char_location":
            return {**told, "start_char_index": first.start, "end_char_index": last.end}
        case "page_location":
            return {**told, "start_page_number": first.unit + 1, "end_page_number": last.unit + 2}
    return {**told, "start_block_index": first.unit, "end_block_index": last.unit + 1}


def _cut(first: Passage, last: Passage) -> str:
    units = first.source.units
    if first.source.kind not in ("char_location", "page_location"):
        return "".join(units[first.unit : last.unit + 1])
    if first.unit == last.unit:
        return units[first.unit][first.start : last.end]
    between = units[first.unit + 1 : last.unit]
    return "\n".join((units[first.unit][first.start :], *between, units[last.unit][: last.end]))


def _cites(citation: Mapping[str, Any], passage: Passage) -> bool:
    """Whether a citation is of the passage's source and of a place that the passage is in."""
    source = passage.source
    index = "search_result_index" if source.kind == "search_result_location" else "document_index"
    if citation.get("type") != source.kind or citation.get(index) != source.fields[index]:
        return False
    match source.kind:
        case "char_location":
            start, end, at = citation.get("start_char_index"), citation.get("end_char_index"), passage.start
        case "page_location":
            start, end, at = citation.get("start_page_number"), citation.get("end_page_number"), passage.unit + 1
        case _:
            start, end, at = citation.get("start_block_index"), citation.get("end_block_index"), passage.unit
    return isinstance(start, int) and isinstance(end, int) and start <= at < end
