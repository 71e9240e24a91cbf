"""The prompt syntax of A1111 and SD.Next, read once into a tree and then told step by step.

Rule: every text is a prompt. What is not closed holds until the end, a bracket that closes nothing is itself, and what
looks like a number in a wrong place is text.

    (x)  [x]  (x:1.3)          weight times 1.1, through 1.1, times 1.3; they multiply when nested
    [a:b:when]  [b:when]  [a::when]     a until a step, then b; `when` is a step, or with a point a part of all steps
    [a|b|c]                    another one at each step
    a AND b:0.8                prompts of their own, whose predictions are added by weight
    BREAK                      a new chunk of the text encoder's context
    \\( \\) \\[ \\] \\\\            the characters themselves

The forms are those of A1111's modules/prompt_parser.py, described in its wiki under "Features".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

MORE = 1.1  # what one pair of round brackets does to the weight of what is in it
DEEPEST = 64  # brackets within brackets; those further in are text
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_AND = re.compile(r"\s*\bAND\b\s*")
_WEIGHT = re.compile(r"^(.*\S)?\s*:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Weighted:
    """Text, and how much attention it gets; 1 is the usual."""

    text: str
    weight: float = 1.0


Chunk: TypeAlias = tuple[Weighted, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """What holds from the end of the span before through step `until`, counted from 1. `chunks` are between BREAKs."""

    until: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the prompts joined by AND."""

    spans: tuple[Span, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """`parts` has one member at least, each of whose spans reach to the last step."""

    parts: tuple[Part, ...]

    @property
    def plain(self) -> bool:
        """Whether nothing in it is more than text."""
        return self.parts == (Part((Span(self.parts[0].spans[-1].until, ((Weighted(self.text),),)),)),)

    @property
    def text(self) -> str:
        """The first chunk's words, without weights."""
        return "".join(piece.text for piece in self.parts[0].spans[0].chunks[0])


def parse(text: str, steps: int) -> Prompt:
    """The prompt for so many steps, at least 1."""
    return Prompt(tuple(_part(piece, max(1, steps)) for piece in _AND.split(text)))


# --- the tree ---


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Text between brackets that weigh it."""

    inside: "_Nodes"
    factor: float


@dataclass(frozen=True, slots=True)
class _Switched:
    """Text that becomes another after step `when`, or after that part of the steps."""

    before: "_Nodes"
    after: "_Nodes"
    when: float
    relative: bool

    def last(self, steps: int) -> int:
        """The last step of `before`."""
        return min(steps, int(self.when * steps if self.relative else self.when))


@dataclass(frozen=True, slots=True)
class _Alternating:
    """Texts that take turns."""

    choices: tuple["_Nodes", ...]


_Node: TypeAlias = "str | _Scaled | _Switched | _Alternating"
_Nodes: TypeAlias = tuple[_Node, ...]


class _Reader:
    """Reads a text from its beginning to its end, by descent into brackets."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def nodes(self, stops: str = "") -> _Nodes:
        """What comes until one of these characters, which is not taken, or the end."""
        found: list[_Node] = []
        while (here := self._here()) and here not in stops:
            if here in "([" and self._depth < DEEPEST:
                self._depth += 1
                found.append(self._round() if here == "(" else self._square())
                self._depth -= 1
            else:
                found.append(self._character())
        return tuple(_joined(found))

    def _here(self) -> str:
        return self._text[self._at : self._at + 1]

    def _character(self) -> str:
        """One character, of two where the first is the escape."""
        escaped = self._here() == "\\" and self._text[self._at + 1 : self._at + 2]
        self._at += 2 if escaped and escaped in "()[]\\" else 1
        return self._text[self._at - 1]

    def _round(self) -> _Node:
        self._at += 1
        inside: list[_Node] = []
        while True:
            inside += self.nodes(":)")
            if self._here() != ":":
                self._at += 1
                return _Scaled(tuple(_joined(inside)), MORE)
            number = _NUMBER.match(self._text, self._at + 1)
            if number and self._text[number.end() : number.end() + 1] == ")":
                self._at = number.end() + 1
                return _Scaled(tuple(_joined(inside)), float(number[1]))
            inside.append(self._character())

    def _square(self) -> _Node:
        self._at += 1
        pieces: list[_Nodes] = [self.nodes(":|]")]
        marks = ""
        while (mark := self._here()) and mark in ":|":
            self._at += 1
            marks += mark
            pieces.append(self.nodes(":|]"))
        closed = self._here() == "]"
        self._at += 1
        return _bracketed(pieces, marks) if closed else _Scaled(_rejoined(pieces, marks), 1 / MORE)


def _bracketed(pieces: Sequence[_Nodes], marks: str) -> _Node:
    """What stands between square brackets, cut at the marks."""
    number = _NUMBER.fullmatch("".join(piece for piece in pieces[-1] if isinstance(piece, str)))
    when = number[1] if number and all(isinstance(piece, str) for piece in pieces[-1]) else None
    if when is not None and marks in (":", "::"):
        before = pieces[0] if marks == "::" else ()
        return _Switched(before, pieces[-2], max(0.0, float(when)), "." in when)
    if marks and set(marks) == {"|"}:
        return _Alternating(tuple(pieces))
    return _Scaled(_rejoined(pieces, marks), 1 / MORE)


def _rejoined(pieces: Sequence[_Nodes], marks: str) -> _Nodes:
    """As it was written: the marks were text."""
    found: list[_Node] = [*pieces[0]]
    for mark, piece in zip(marks, pieces[1:], strict=True):
        found += [mark, *piece]
    return tuple(_joined(found))


def _joined(nodes: Sequence[_Node]) -> Iterator[_Node]:
    for text, group in groupby(nodes, lambda node: isinstance(node, str)):
        if text:
            yield "".join(str(node) for node in group)
        else:
            yield from group


# --- from tree to steps ---


def _part(text: str, steps: int) -> Part:
    weighed = _WEIGHT.match(text)
    weight = float(weighed[2]) if weighed else 1.0
    nodes = _Reader((weighed[1] or "") if weighed else text).nodes()
    told = ((step, _chunks(nodes, step, steps)) for step in range(1, steps + 1))
    spans = [Span(list(group)[-1][0], chunks) for chunks, group in groupby(told, lambda pair: pair[1])]
    return Part(tuple(spans), weight)


def _chunks(nodes: _Nodes, step: int, steps: int) -> tuple[Chunk, ...]:
    """What the nodes say at a step, from 1."""
    chunks: list[list[Weighted]] = [[]]
    for piece in _told(nodes, 1.0, step, steps):
        first, *others = _BREAK.split(piece.text)
        _append(chunks[-1], Weighted(first, piece.weight))
        for text in others:
            chunks.append([])
            _append(chunks[-1], Weighted(text, piece.weight))
    return tuple(tuple(chunk) or (Weighted(""),) for chunk in chunks)


def _append(chunk: list[Weighted], piece: Weighted) -> None:
    if chunk and chunk[-1].weight == piece.weight:
        chunk[-1] = Weighted(chunk[-1].text + piece.text, piece.weight)
    elif piece.text:
        chunk.append(piece)


def _told(nodes: _Nodes, weight: float, step: int, steps: int) -> Iterator[Weighted]:
    for node in nodes:
        match node:
            case str():
                yield Weighted(node, weight)
            case _Scaled():
                yield from _told(node.inside, weight * node.factor, step, steps)
            case _Switched():
                yield from _told(node.before if step <= node.last(steps) else node.after, weight, step, steps)
            case _Alternating():
                yield from _told(node.choices[(step - 1) % len(node.choices)], weight, step, steps)
